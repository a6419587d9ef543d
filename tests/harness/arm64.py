# SPDX-License-Identifier: MIT
"""The suite that builds for arm64 and runs under qemu-user: every level of
NEON has the bits of plain C there, and these are the bits of this machine.
And what the suite of arm64 guests shares with it."""
import os
import re
import shlex

from tap import FAIL, PASS, SKIP, Result, parse
import testbed

# What the Armv8.0, v8.2 and newest CPUs of qemu-user choose by themselves: to
# run a level is to run it where nothing above it exists.
CPUS = [('cortex-a53', 'plain'), ('cortex-a76', 'dotprod'), ('max', 'i8mm')]
# A guest, whose kernel this is.
KERNEL = '6.12-arm64'
GUEST_PARTS = [KERNEL, 'qemu-arm64', 'arm64-libs', 'arm64-busybox']
IN_GUEST = [(m, ['run', '-n', '16', '--ignore-eos', '-p', 'Once upon a time', f'/models/{m}.gguf'])
            for m in ('stories260K-f16', 'stories3M-pad256-Q4_K_M')]
# Not what who started the tests has set.
FREE = {'HEARTH_ISA': ''}
# These compare each level that the CPU has with plain C.
PROGRAMS = ['test_mathf', 'test_int8', 'test_int8_fields', 'test_matmul', 'test_float_ops', 'test_get_rows', 'test_kv_ops',
            'test_context', 'test_exec']
# This one takes the level of the CPU.
PER_CPU = 'test_llm'
PROMPT = 'Once upon a time there was a little dog who'
MODELS = ['stories260K-f32', 'stories260K-f16', 'stories3M-Q8_0', 'stories3M-Q4_0', 'stories3M-Q5_1',
          'stories3M-pad256-Q4_K_M', 'stories3M-pad256-Q6_K', 'stories3M-pad256-Q2_K']
TINY = 'tflite-mlperf-tiny'
# model, its input, bytes of it
NETS = [('kws_ref_model', f'{TINY}/kws01/inputs-1000x490.i8.bin', 490 * 8),
        ('vww_96_int8', f'{TINY}/vww8x96x96x3.i8', 27648),
        ('pretrainedResnet_quant', f'{TINY}/vww8x96x96x3.i8', 3072),
        ('ad01_int8', f'{TINY}/refs/ad01.in0.i8', 640 * 8)]


def on(cpu, program, *args):
    return ['qemu-aarch64', '-cpu', cpu, '-L', '/usr/aarch64-linux-gnu', program, *args]


def folder(ctx):
    return f'{ctx.build}-arm64'


def build(ctx, targets, what):
    """Only what is run; two suites want some of it, at one time."""
    place, results = folder(ctx), []
    with ctx.arm64_lock:
        if not os.path.exists(os.path.join(place, 'build.ninja')):
            testbed.ensure(['arm64-libs'], quiet=True)
            results.append(ctx.step('meson setup', [
                'meson', 'setup', place, '-Dwerror=true', '--cross-file', testbed.part('arm64-libs')['cross'],
                '--cross-file', os.path.join(ctx.top, 'scripts/aarch64.ini')], 'arm64/setup.log'))
        results.append(ctx.step(f'cross build: {what}', ['ninja', '-k', '0', '-C', place, f'-j{ctx.jobs}', *targets],
                                f'arm64/ninja-{what}.log'))
    return results


def program(ctx, place, name, cpu):
    log = f'arm64/{name}-{cpu}.log'
    status, lines = ctx.run(on(cpu, os.path.join(place, 'tests/cmocka', name)), log, env=FREE)
    if status not in (0, 4) and not any('ok' in line for line in lines):
        lines = lines + ctx.tail(log, 2)
    return parse(f'{name} on {cpu}', lines, status)


def chosen(ctx, place):
    """What a CPU has decides; what it lacks is refused, by name."""
    tool, results = os.path.join(place, 'hearth'), []
    for cpu, level in CPUS:
        _, lines = ctx.run(on(cpu, tool, 'info'), f'arm64/{cpu}.log', env=FREE)
        good = any(re.match(rf'cpu\s+kernels {level},', line) for line in lines)
        results.append(Result(f'{cpu} runs {level}', PASS if good else FAIL, ' | '.join(lines[:2])))
        last = CPUS[-1][1]
        if level == last:
            continue
        status, _ = ctx.run(on(cpu, tool, 'info'), f'arm64/{cpu}-forced.log', env={'HEARTH_ISA': last})
        said = ' '.join(ctx.tail(f'arm64/{cpu}-forced.log'))
        good = status == 1 and last in said
        results.append(Result(f'{cpu} refuses {last}', PASS if good else FAIL, f'status {status}: {said}'))
    return results


def digest(ctx, command, log):
    ctx.run(command, log, env=FREE)
    found = re.findall(r'^digest:\s+([0-9a-f]{64})\s*$', '\n'.join(ctx.tail(log, 1000)), re.M)
    return found[-1] if found else ' '.join(ctx.tail(log, 2))


def same_bits(ctx, place, name, args):
    """One model: this machine's digest, and that of each CPU."""
    want = digest(ctx, [os.path.join(ctx.build, 'hearth'), *args], f'arm64/{name}-host.log')
    results = []
    for cpu, level in CPUS:
        got = digest(ctx, on(cpu, os.path.join(place, 'hearth'), *args), f'arm64/{name}-{level}.log')
        good = got == want and re.fullmatch('[0-9a-f]{64}', want)
        results.append(Result(f'{name}: {level} has the bits of this machine', PASS if good else FAIL,
                              '' if good else f'{got}, wanted {want}'))
    return results


def model_jobs(ctx):
    """(name, arguments of the tool) for each model whose name is wanted."""
    jobs = []
    for name in filter(ctx.wants, MODELS):
        path = os.path.join(ctx.models, 'llm-gguf', f'{name}.gguf')
        args = ['run', '-d', 'cpu', '-q', '--digest', '-n', '8', '-p', PROMPT, path]
        jobs.append((name, args))
        if name == 'stories3M-pad256-Q4_K_M':
            jobs.append((f'{name}, keys of Q8_0', [*args, '--kv', 'q8_0']))
    for name, source, size in NETS:
        if not ctx.wants(name):
            continue
        part = ctx.log(f'arm64/{name}.in')
        with open(os.path.join(ctx.models, source), 'rb') as f, open(part, 'wb') as out:
            out.write(f.read(size))
        jobs.append((name, ['classify', '-d', 'cpu', '--digest', '--top', '0', '--raw',
                            os.path.join(ctx.models, TINY, f'{name}.tflite'), part]))
    return jobs


def guest_script():
    """Each model on the NPU, then on the guest's CPU: its name, device and output."""
    return '\n'.join(f'echo "@@ {name} {device}"; hearth {shlex.join(args)} -d {device} --digest 2>&1 || exit 1'
                     for name, args in IN_GUEST for device in ('npu', 'cpu'))


def same_bits_in_guest(ctx):
    """NPU and CPU of an arm64 guest have the bits of this machine."""
    if not os.path.isdir(ctx.models):
        return [Result('same bits in the guest', SKIP, 'no models')]
    log = 'arm64-guest/same-bits'
    status, lines = ctx.run([
        ctx.env['HEARTH_VM'], '--build', ctx.build, '--kernel', KERNEL, '--logs', ctx.log(f'{log}.d'),
        '--add', f'{folder(ctx)}/hearth:/bin/hearth', '--share', f'{ctx.models}/llm-gguf:/models', '--', 'sh', '-c',
        guest_script()], f'{log}.log', 300)
    good = status == 0
    results = [Result('same-bits: guest ends well, kernel log is clean', PASS if good else FAIL,
                      '' if good else f'status {status}: ' + ' | '.join(ctx.tail(f'{log}.log', 3)))]
    parts = re.split(r'^@@ (.*)$', '\n'.join(lines), flags=re.M)
    said = dict(zip(parts[1::2], parts[2::2]))
    for name, args in IN_GUEST:
        own = [a.replace('/models/', f'{ctx.models}/llm-gguf/') for a in args]
        want = digest(ctx, [os.path.join(ctx.build, 'hearth'), *own, '-d', 'cpu', '--digest'],
                      f'arm64-guest/{name}-host.log')
        for device in ('npu', 'cpu'):
            text = said.get(f'{name} {device}', '')
            found = re.findall(r'^digest:\s+([0-9a-f]{64})\s*$', text, re.M)
            used = re.search(rf'^device:\s+{device}\b', text, re.M)
            good = found == [want] and used
            results.append(Result(f'{name}: {device} of an arm64 guest has the bits of this machine',
                                  PASS if good else FAIL, '' if good else f'{found}, wanted {want}; {used}'))
    return results


def suite(ctx):
    results = build(ctx, ['hearth', *(f'tests/cmocka/{p}' for p in [*PROGRAMS, PER_CPU])], 'programs')
    if any(r.outcome == FAIL for r in results):
        return results
    place = folder(ctx)
    runs = [(p, 'max') for p in PROGRAMS] + [(PER_CPU, cpu) for cpu, _ in CPUS]
    results += ctx.parallel(lambda r: program(ctx, place, *r), [r for r in runs if ctx.wants(r[0])])
    if ctx.wants('levels'):
        results += chosen(ctx, place)
    if not os.path.isdir(ctx.models):
        return results + [Result('same bits as on this machine', SKIP, 'no models')]
    return results + ctx.parallel(lambda j: same_bits(ctx, place, *j), model_jobs(ctx))
