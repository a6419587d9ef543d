# SPDX-License-Identifier: MIT
"""Builds with sanitizers, each in a folder of its own: two suites want some of them."""
import os

KINDS = {'asan': 'address,undefined', 'tsan': 'thread'}


def folder(ctx, name):
    return f'{ctx.build}-{name}'


def setup(ctx, name):
    place = folder(ctx, name)
    if os.path.exists(os.path.join(place, 'build.ninja')):
        return []
    return [ctx.step(f'{name}: meson setup', [
        'meson', 'setup', place, f'-Db_sanitize={KINDS[name]}', '-Db_lundef=false', '-Doptimization=1'],
        f'{name}/setup.log')]


def build(ctx, name, targets):
    return setup(ctx, name) + [ctx.step(f'{name}: build', [
        'ninja', '-k', '0', '-C', folder(ctx, name), f'-j{ctx.jobs}', *targets], f'{name}/ninja.log')]
