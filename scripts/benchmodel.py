#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Language models for measuring: real shapes and types, random weights. Each is
made once in the cache, by build/tests/bench/make_model, and its path printed. A
TYPE that ends in -R8 is the same weights, written anew by build/hearth pack.

    benchmodel.py [--build DIR] SHAPE TYPE
    benchmodel.py [--build DIR] --remove       give the disk space back
"""
import argparse
import contextlib
import fcntl
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import testbed  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# Raised when the maker makes other files from the same names.
VERSION = 1
PACKED = '-R8'
MAKER = 'tests/bench/make_model'


class Failure(Exception):
    """Said without a traceback."""


def folder():
    return os.path.join(testbed.cache_dir(), 'models')


def path_of(shape, mix):
    return os.path.join(folder(), f'{shape}-{mix}.v{VERSION}.gguf')


def in_rows(mix):
    """The type of the file that a packed one is made of; of others the type itself."""
    return mix.removesuffix(PACKED)


def tool_of(build, name):
    tool = os.path.join(os.path.abspath(build), name)
    if not os.access(tool, os.X_OK):
        raise Failure(f'{tool} is not there; run: make')
    return tool


def size_of(build, shape, mix):
    """Bytes of the file, made or not."""
    p = subprocess.run([tool_of(build, MAKER), shape, in_rows(mix), '--size'], capture_output=True, text=True,
                       check=False)
    if p.returncode:
        raise Failure(p.stderr.strip().split('\n')[0])
    return int(p.stdout)


def check_space(build, wanted):
    """Fails, with the numbers, if the files of `wanted` that are missing do not fit."""
    os.makedirs(folder(), exist_ok=True)
    wanted = {*wanted, *[(shape, in_rows(mix)) for shape, mix in wanted]}
    missing = [w for w in wanted if not os.path.exists(path_of(*w))]
    need = sum(size_of(build, *w) for w in missing)
    v = os.statvfs(folder())
    free = v.f_bavail * v.f_frsize
    if need and need + (1 << 30) > free:
        raise Failure(f'{len(missing)} models need {need / 1e9:.1f} GB in {folder()} and 1.1 GB must stay '
                      f'free, but {free / 1e9:.1f} GB are: make room, or name fewer by --models')
    return need


@contextlib.contextmanager
def locked():
    """One maker at a time."""
    with open(os.path.join(folder(), 'lock'), 'w', encoding='utf-8') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def command(build, shape, mix, path, say):
    """What makes a file; a packed one needs the other first."""
    if mix == in_rows(mix):
        return [tool_of(build, MAKER), shape, mix, path]
    return [tool_of(build, 'hearth'), 'pack', '--quiet', get(build, shape, in_rows(mix), say), path]


def get(build, shape, mix, say=None):
    """The path of a model; makes the file if it is not there. `say` is told what happens."""
    path = path_of(shape, mix)
    if os.path.exists(path):
        return path
    os.makedirs(folder(), exist_ok=True)
    make = command(build, shape, mix, path, say)
    with locked():
        if os.path.exists(path):
            return path
        remove_leftovers()
        start = time.monotonic()
        p = subprocess.run(make, stderr=subprocess.PIPE, text=True, check=False)
        if p.returncode:
            raise Failure(p.stderr.strip().split('\n')[0] or f'{os.path.basename(make[0])} ended with {p.returncode}')
        seconds = time.monotonic() - start
        if say:
            say(f'{shape} {mix}: made {os.path.getsize(path) / 1e6:.0f} MB in {seconds:.1f} s')
    return path


def remove_leftovers():
    """What a maker that was killed left; under the lock, so none is at work."""
    for name in os.listdir(folder()):
        if re.search(r'\.gguf\.(tmp-)?\d+$', name):
            os.unlink(os.path.join(folder(), name))


def remove(shape, mix):
    """A model, and what it was packed from."""
    for path in {path_of(shape, mix), path_of(shape, in_rows(mix))}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_all():
    for name in sorted(os.listdir(folder())) if os.path.isdir(folder()) else []:
        if name.endswith('.gguf'):
            os.unlink(os.path.join(folder(), name))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    p.add_argument('--build', default=os.path.join(TOP, 'build'))
    p.add_argument('--remove', action='store_true')
    p.add_argument('model', nargs='*', metavar='SHAPE TYPE')
    args = p.parse_args()
    if args.remove:
        remove_all()
        return 0
    if len(args.model) != 2:
        p.error('SHAPE and TYPE are needed, as `make_model --help` lists them, TYPE with or without -R8')
    try:
        check_space(args.build, [tuple(args.model)])
        print(get(args.build, *args.model, say=lambda text: print(text, file=sys.stderr, flush=True)))
    except Failure as e:
        print(f'benchmodel: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
