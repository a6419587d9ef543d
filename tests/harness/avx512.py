# SPDX-License-Identifier: MIT
"""The suite of AVX-512, on a machine that need not have it: Bochs interprets it.

A stock kernel boots there; its only programs are those that compare the MATMUL
of each level with plain C, and the tool, whose digests must be those of this
machine. QEMU's TCG knows no AVX-512.
"""
import os
import re
import shlex
import shutil

from arm64 import PROMPT, digest
from tap import FAIL, PASS, SKIP, Result, parse, split_runs
import boards
import initramfs
import klog
import sanitized
import testbed

PARTS = ['bochs', '6.12-amd64']
# It says which levels it compares with plain C. Some of the others run the level of the CPU.
LEVELS = 'test_matmul'
# With ASan and UBSan: where the host has no AVX-512, they see its kernels nowhere else.
ASAN = f'{LEVELS}-asan'
PROGRAMS = [LEVELS, ASAN, 'test_float_ops', 'test_exec', 'test_llm']
# An LLM of each form of block; the first ones packed in rows of eight as well.
MODELS = ['stories3M-Q4_0', 'stories3M-Q8_0', 'stories3M-pad256-Q4_K_M', 'stories3M-pad256-Q5_K_M',
          'stories3M-pad256-Q6_K', 'stories3M-Q5_1', 'stories3M-pad256-Q2_K']
PACKED = MODELS[:5]
ARGUMENTS = ['run', '-d', 'cpu', '--digest', '-n', '4', '--ignore-eos', '-p', PROMPT]
# The clocks of an interpreter are not those that CPUID tells of.
KERNEL_ARGS = ('console=ttyS0 quiet panic=-1 reboot=triple nokaslr mitigations=off nopti '
               'tsc=reliable clocksource=tsc lpj=1000000')
SECONDS = 900


def level(text):
    """What the tool says of its kernels, in a run or of the machine."""
    found = re.search(r'^(?:device:.*CPU kernels|cpu\s+kernels) (\w+)', text, re.M)
    return found[1] if found else None


class Place:
    """The suite's folder, in which Bochs runs."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.folder = ctx.log('avx512/bochs')
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.path('iso'))

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        try:
            with open(self.path(name), encoding='utf-8', errors='replace') as f:
                return f.read().splitlines()
        except OSError:
            return []


def models(place):
    """Name -> file, of those that are wanted; what is packed gets a file of its own."""
    ctx, found = place.ctx, {}
    for name in filter(ctx.wants, MODELS if os.path.isdir(ctx.models) else []):
        path = found[name] = os.path.join(ctx.models, 'llm-gguf', f'{name}.gguf')
        if name in PACKED:
            found[f'{name}-r8'] = place.path(f'{name}-r8.gguf')
            ctx.run([os.path.join(ctx.build, 'hearth'), 'pack', path, found[f'{name}-r8']],
                    f'avx512/pack-{name}.log')
    return found


def script(programs, files):
    """What the guest runs: each part under a line that names it."""
    lines = ['export UBSAN_OPTIONS=halt_on_error=1', 'echo "@@ level"', 'hearth info', 'echo "@@ programs"',
             f'run-tests {SECONDS} {" ".join(f"/tests/{p}" for p in programs)}']
    for name in files:
        lines += [f'echo "@@ {name}"', f'hearth {shlex.join([*ARGUMENTS, f"/models/{name}.gguf"])}']
    return '\n'.join([*lines, 'echo "@@ end"', ''])


def program(ctx, name):
    if name == ASAN:
        return os.path.join(sanitized.folder(ctx, 'asan'), 'tests/cmocka', LEVELS)
    return os.path.join(ctx.build, 'tests/cmocka', name)


def write_image(place, programs, files):
    """A disk that boots: Debian's kernel, and all files in memory."""
    bochs, kernel = testbed.part('bochs'), testbed.part('6.12-amd64')
    lib = os.path.join(bochs['path'], 'usr/lib')
    with open(place.path('iso/initrd'), 'wb') as f:
        cpio = initramfs.Cpio(f)
        cpio.copy(os.path.join(place.ctx.top, 'tests/bochs/init'), 'init')
        initramfs.add_base(cpio, boards.BOARDS['amd64'].busybox())
        cpio.data('run.sh', script(programs, files).encode())
        cpio.copy(os.path.join(place.ctx.build, 'hearth'), 'bin/hearth')
        for p in programs:
            cpio.copy(program(place.ctx, p), f'tests/{p}')
        for name, path in files.items():
            cpio.copy(path, f'models/{name}.gguf')
        cpio.close()
    for source in (f'{lib}/ISOLINUX/isolinux.bin', f'{lib}/syslinux/modules/bios/ldlinux.c32'):
        shutil.copy(source, place.path('iso'))
    shutil.copy(os.path.join(kernel['path'], f'boot/vmlinuz-{kernel["version"]}'), place.path('iso/linux'))
    with open(place.path('iso/isolinux.cfg'), 'w', encoding='utf-8') as f:
        f.write(f'default hearth\nprompt 0\nlabel hearth\nkernel linux\nappend initrd=initrd {KERNEL_ARGS}\n')
    return place.ctx.step('image for Bochs', [
        bochs['run'], 'genisoimage', '-quiet', '-o', place.path('boot.iso'), '-b', 'isolinux.bin', '-c', 'boot.cat',
        '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', place.path('iso')], 'avx512/image.log')


def boot(place):
    """Runs Bochs to the end of the guest; results of how it ended. Its status says nothing."""
    bochs = testbed.part('bochs')
    data = os.path.join(bochs['path'], 'usr/share/bochs')
    plugins = os.path.join(bochs['path'], testbed.HOST_LIBRARIES, 'bochs/plugins')
    status, _ = place.ctx.run(
        [bochs['run'], 'bochs-bin', '-q', '-f', os.path.join(place.ctx.top, 'tests/bochs/bochsrc')],
        'avx512/bochs.log', SECONDS, {'BXSHARE': data, 'LTDL_LIBRARY_PATH': plugins, 'TERM': 'linux'},
        place.folder)
    output = place.read('output')
    faults = klog.judge(place.read('kernel.log'), [])
    if status is None:
        faults.insert(0, f'time was up after {SECONDS} s')
    elif not output or output[-1].rstrip() != '#@ status 0':
        faults.insert(0, 'the guest ended before its script did: ' + ' | '.join(output[-2:]))
    return output, Result('guest ends well, kernel log is clean', FAIL if faults else PASS, ' | '.join(faults[:3]))


def judge_program(name, body, status):
    """It has to say that it had the level. What it skips for want of models is not about levels."""
    results = [r for r in parse(name, body, status) if r.outcome != SKIP]
    if name in (LEVELS, ASAN) and not any(re.match(r'# levels:.* avx512\b', line) for line in body):
        results.append(Result(f'{name}: compares avx512 with plain C', FAIL, 'it knew no such level'))
    return results


def judge_model(place, name, path, said):
    """The digest of this machine, whose CPU has chosen another level."""
    want = digest(place.ctx, [os.path.join(place.ctx.build, 'hearth'), *ARGUMENTS, path], f'avx512/{name}-host.log')
    found = re.findall(r'^digest:\s+([0-9a-f]{64})\s*$', said, re.M)
    good = found == [want] and level(said) == 'avx512'
    return [Result(f'{name}: has the bits of this machine', PASS if good else FAIL,
                   '' if good else f'{found} with {level(said)}, wanted {want}')]


def suite(ctx):
    try:
        testbed.ensure(PARTS, quiet=True)
    except testbed.Failure as e:
        if ctx.strict:
            raise
        return [Result('AVX-512 under Bochs', SKIP, str(e).splitlines()[0])]
    programs = list(filter(ctx.wants, PROGRAMS))
    place = Place(ctx)
    files = models(place)
    results = sanitized.build(ctx, 'asan', [f'tests/cmocka/{LEVELS}']) if ASAN in programs else []
    if not any(r.outcome == FAIL for r in results):
        results.append(write_image(place, programs, files))
    if any(r.outcome == FAIL for r in results):
        return results
    output, end = boot(place)
    pieces = re.split(r'^@@ (.*)$', '\n'.join(line.rstrip() for line in output), flags=re.M)
    said = dict(zip(pieces[1::2], pieces[2::2]))
    chosen = level(said.get('level', ''))
    results += [end, Result('Bochs runs avx512', PASS if chosen == 'avx512' else FAIL, f'it runs {chosen}')]
    ran = {name: (body, status) for name, body, status in split_runs(said.get('programs', '').splitlines())}
    for p in programs:
        results += judge_program(p, *ran[p]) if p in ran else [Result(f'{p}: did not run', FAIL, '')]
    if not os.path.isdir(ctx.models):
        results.append(Result('same bits as on this machine', SKIP, 'no models'))
    return results + ctx.parallel(lambda n: judge_model(place, n, files[n], said.get(n, '')), list(files))
