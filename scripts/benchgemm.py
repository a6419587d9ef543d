# SPDX-License-Identifier: MIT
"""Single matrix products on several engines: tests/bench/gemm_*.c."""
import os
import subprocess

import benchrun
import testbed

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# Part of the test bed, what its folder of headers is, what is linked.
PEERS = {
    'xnnpack': ('xnnpack', 'usr/include', ['-lXNNPACK', '-lpthreadpool']),
    'onnxruntime': ('onnxruntime', 'usr/include/onnxruntime', ['-lonnxruntime']),
}


def compile_peer(build, name):
    """The command of a peer's program; compiled against its libraries in the cache, and run with their libc."""
    part, include, libraries = PEERS[name]
    root = testbed.part(part)['path']
    source = os.path.join(TOP, 'tests/bench')
    program = os.path.join(os.path.abspath(build), 'bench', f'gemm_{name}')
    os.makedirs(os.path.dirname(program), exist_ok=True)
    command = [os.environ.get('CC', 'cc').split()[-1], '-O2', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE',
               f'-I{TOP}/tests', f'-I{os.path.join(root, include)}', f'{source}/gemm_main.c', f'{source}/gemm_{name}.c',
               # Their libc is newer than the one that we compile for: it is there when it runs.
               f'-L{root}/usr/lib/x86_64-linux-gnu', *libraries, '-Wl,--allow-shlib-undefined', '-lm', '-o', program]
    p = subprocess.run(command, capture_output=True, text=True, check=False)
    if p.returncode:
        raise benchrun.Failure(f'gemm_{name} does not compile:\n{p.stderr.strip()}')
    return [testbed.part(part)['run'], program]


def commands(build):
    """{engine: command}, ours first."""
    ours = os.path.join(os.path.abspath(build), 'tests/bench/gemm_hearth')
    if not os.access(ours, os.X_OK):
        raise benchrun.Failure(f'{ours} is not there; run: make')
    return {'hearth': [ours], **{name: compile_peer(build, name) for name in PEERS}}


def measure(command, threads, few):
    """{(bits, rows, in, out): GOPS}"""
    out = benchrun.output_of([*command, str(threads), *(['few'] if few else [])], seconds=300)
    rows = [line.split() for line in out.splitlines()]
    return {tuple(int(x) for x in r[:4]): float(r[4]) for r in rows}
