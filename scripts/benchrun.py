# SPDX-License-Identifier: MIT
"""The engines of bench-cpu: each runs as a process of its own, as its users run it."""
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import tempfile
import time

PROMPT = 'once upon a time'
# A token may have no visible text, such as half a character: then the next one counts.
FEW_TOKENS = '8'
PROCESS_SECONDS = 900


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """Said without a traceback."""


def start(command, **kw):
    """
    A process that ends when we do, however that is. It stays in our session: the kernel may
    share cores among sessions first (autogroup), and all we start are to have the same right.
    """
    def child():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=child, **kw)


def finish(process):
    """Ends a process of ours that still runs, with all that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def output_of(command, seconds=PROCESS_SECONDS):
    """stdout of a command that must succeed."""
    with tempfile.TemporaryFile() as err:
        p = start(command, stdout=subprocess.PIPE, stderr=err)
        try:
            out, _ = p.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f'{os.path.basename(command[0])} took more than {seconds} s') from None
        finally:
            finish(p)
        if p.returncode:
            err.seek(0)
            lines = err.read().decode(errors='replace').strip().splitlines() or ['no message']
            raise Failure(f'{os.path.basename(command[0])}: {lines[-1]}')
    return out.decode(errors='replace')


def first_output(command, seconds=PROCESS_SECONDS):
    """Seconds from the start of a command to its first byte on stdout; then it is ended."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as err:
        p = start(command, stdout=subprocess.PIPE, stderr=err)
        try:
            ready, _, _ = select.select([p.stdout], [], [], seconds)
            took = time.monotonic() - began
            if not ready or not os.read(p.stdout.fileno(), 1):
                err.seek(0)
                lines = err.read().decode(errors='replace').strip().splitlines() or ['no message']
                raise Failure(f'{os.path.basename(command[0])} printed no token: {lines[-1]}')
        finally:
            finish(p)
            p.stdout.close()
    return took


class Hearth:
    """Our own."""

    def __init__(self, build, name='hearth'):
        self.name = name
        self.tool = os.path.join(os.path.abspath(build), 'hearth')
        if not os.access(self.tool, os.X_OK):
            raise Failure(f'{self.tool} is not there; run: make')

    def machine(self, threads):
        return json.loads(output_of([self.tool, 'bench', '--machine', '-d', 'cpu', '-t', str(threads), '--json']))

    def speeds(self, model, threads, prefills, decode, reps):
        """({(test, tokens): speeds}, what else it tells)"""
        r = json.loads(output_of([self.tool, 'bench', model, '-d', 'cpu', '-t', str(threads), '--json',
                                  '-p', ','.join(map(str, prefills)) or '0', '-n', str(decode), '-r', str(reps),
                                  '--no-first-token']))
        return {(t['test'], t['tokens']): t['samples'] for t in r['tests']}, r

    def first_token(self, model, threads):
        return [self.tool, 'run', model, '-d', 'cpu', '-t', str(threads), '-p', PROMPT, '-n', FEW_TOKENS, '-q',
                '--ids', '--ignore-eos']


class LlamaCpp:
    """llama.cpp of the cache, with or without the copy of the weights that it makes when it loads."""

    def __init__(self, runner, repack=True):
        self.runner = runner
        self.repack = repack
        self.name = 'llama.cpp' if repack else 'llama.cpp, no repack'

    def speeds(self, model, threads, prefills, decode, reps):
        # Its own warm-up doubles the time of every test: one short prompt does as well.
        out = output_of([self.runner, 'llama-bench', '-m', model, '-t', str(threads), '-o', 'json', '--no-warmup',
                         '-p', ','.join(map(str, [16, *prefills])), '-n', str(decode), '-r', str(reps),
                         '--repack', str(int(self.repack))])
        found = {}
        for t in json.loads(out):
            key = ('prefill', t['n_prompt']) if t['n_prompt'] else ('decode', t['n_gen'])
            if key != ('prefill', 16) or 16 in prefills:
                found[key] = t['samples_ts'][-reps:]
        return found, {}

    def first_token(self, model, threads, warmup=True):
        return [self.runner, 'llama-completion', '-m', model, '-t', str(threads), '-p', PROMPT, '-n', FEW_TOKENS,
                '--temp', '0', '-no-cnv', '--no-display-prompt', '--ignore-eos', *([] if warmup else ['--no-warmup']),
                *([] if self.repack else ['--no-repack'])]


@contextlib.contextmanager
def equal_rights():
    """For what is begun meanwhile: whoever has a priority of real-time programs keeps its core."""
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


@contextlib.contextmanager
def stolen_core():
    """One busy thread of somebody else's."""
    p = start(['sh', '-c', 'while :; do :; done'])
    try:
        yield
    finally:
        finish(p)


class CpuShare:
    """How much of the time of so many cores the processes have that begin and end within."""

    def __init__(self, cores):
        self.cores = cores

    @staticmethod
    def _used():
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        return r.ru_utime + r.ru_stime

    def __enter__(self):
        self.used, self.began = self._used(), time.monotonic()
        return self

    def __exit__(self, *error):
        self.share = (self._used() - self.used) / (time.monotonic() - self.began) / self.cores


def idle_share(seconds=0.2):
    """How much of all cores nobody used for a moment, while we do nothing: 1 on a quiet machine."""
    def read():
        with open('/proc/stat', encoding='ascii') as f:
            fields = [int(x) for x in f.readline().split()[1:9]]
        return fields[3] + fields[4], sum(fields)
    idle, total = read()
    time.sleep(seconds)
    idle2, total2 = read()
    return (idle2 - idle) / max(total2 - total, 1)


def available_memory():
    with open('/proc/meminfo', encoding='ascii') as f:
        for line in f:
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) * 1024
    raise Failure('/proc/meminfo has no MemAvailable')


def warm(path):
    """
    Reads a file anew, so that its pages are there, all of them as large as the file system
    makes them: what comes back piece by piece lies in small ones.
    """
    buffer = bytearray(1 << 22)
    with open(path, 'rb', buffering=0) as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while f.readinto(buffer):
            pass
