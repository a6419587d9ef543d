# SPDX-License-Identifier: MIT
"""The suites: what each runs, and how its output becomes results."""
import concurrent.futures
import contextlib
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

from tap import FAIL, PASS, SKIP, Result, parse, split_runs
import arm64
import avx512
import devicetree
import klog
import sanitized
import tap
import testbed

# One boot of the guest per row: name, options of vm, programs, programs left
# out. A program sees the name in $HEARTH_BOOT. All run once; the other boots
# run what meets the difference that they make.
# QEMU aborts when a device with MSI-X is unplugged: what unplugs stays with MSI.
IOMMU = ['--load', 'virtio_iommu', '--append', 'iommu.strict=1',
         '--qemu-arg=-device', '--qemu-arg=virtio-iommu-pci,addr=1e']
# It imports what we export.
VGEM = ['--load', 'vgem']
FAT = ['--load', 'vfat', '--load', 'nls_cp437', '--load', 'nls_ascii']
# Completions, faults, resets, sleep.
INTERRUPTS = ['fault', 'inject', 'lifetime', 'pm', 'query', 'queue', 'rebind', 'reserve', 'slots',
              'submit', 'two_process']
# What is mapped for the device, and no longer.
MAPPINGS = ['bo', 'evict', 'fault', 'fdinfo', 'file_bo', 'inject', 'lifetime', 'pm', 'prime', 'rebind',
            'restore', 'share', 'stale', 'state', 'submit', 'two_process', 'unplug*', 'vm_bind']
# Needs fault injection, which only kernels of ours have.
DEBUG_ONLY = ['no_memory']
# Needs cgroups of device memory, which no kernel of Debian has.
DMEM_ONLY = ['dmem']
TWO, TWO_NPUS = ['--second-npu'], ['second_device']
# Weights in a region, and who has to do with weights.
REGION = ['--driver-arg', 'weights_region_mb=16']
IN_REGION = ['file_bo', 'restore', 'evict', 'region']
BOOTS = [
    # FAT has files without versions.
    ('msi', [*VGEM, *FAT], ['*'], ['region', *TWO_NPUS, *DEBUG_ONLY, *DMEM_ONLY]),
    ('msix', ['--stub-arg=--msix'], INTERRUPTS, []),
    ('iommu', IOMMU, MAPPINGS, []),
    ('two', TWO, TWO_NPUS, []),
]
# An arm64 machine as it is: interrupts by an ITS, no IOMMU, a render node. And one whose
# NPU does not snoop and has a region in the device tree: what is mapped, where weights are.
ARM64_BOOTS = [
    ('virt', VGEM, ['bo', 'fault', 'lifetime', 'pm', 'prime', 'queue', 'rebind', 'restore', 'share', 'slots',
                    'state', 'submit', 'two_process', 'vm_bind']),
    ('dt-region', [*VGEM, '--device-tree', 'tests/qemu/region.dts'],
     ['bo', 'fault', 'file_bo', 'prime', 'region', 'share', 'submit', 'vm_bind']),
]
# The newest kernel: what its libraries do for the driver (gpuvm, scheduler, fences, dma-buf,
# page cache). All programs with tests/run --kernel new-amd64 kselftest.
NEW_KERNEL = 'new-amd64'
NEW_KERNEL_PROGRAMS = ['bo', 'fault', 'file_bo', 'inject', 'lifetime', 'memory_fdinfo', 'prime', 'queue',
                       'share', 'state', 'submit', 'vm_bind']
# The same kernel with dmem and lockdep: who pays, and what takes the locks of stores.
DMEM_PROGRAMS = [*DMEM_ONLY, *DEBUG_ONLY, 'evict', 'no_room', 'restore', 'share', 'state']
# What scripts/build-kernel builds.
TEST_KERNELS = ['dmem', 'debug']
PROGRAM_SECONDS = 180
GUEST_SECONDS = 240
FUZZ_SECONDS = 10
STYLE_FOLDERS = ('kernel', 'uapi')


def link_targets(build):
    """Every program that a build folder knows how to link."""
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        return []
    subprocess.run(['ninja', '-C', build, 'build.ninja'], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    out = subprocess.run(['ninja', '-C', build, '-t', 'targets', 'all'], capture_output=True,
                         text=True, check=False).stdout
    return sorted(re.findall(r'^(\S+): c_LINKER\S*$', out, re.M))


class Context:
    """What all suites share: folders, environment, how to run a program."""

    def __init__(self, top, build, kernel, jobs, pattern):
        self.top = top
        self.build = os.path.abspath(build)
        self.kernel = kernel
        self.jobs = jobs
        self.pattern = pattern
        self.logs = os.path.join(self.build, 'check')
        self.strict = os.environ.get('HEARTH_CI', os.environ.get('CI', '')) in ('1', 'true', 'yes')
        self.models = os.environ.get('HEARTH_MODELS') or os.path.join(top, '../shared/models')
        self.env = dict(os.environ, LC_ALL='C.UTF-8', CMOCKA_MESSAGE_OUTPUT='TAP',
                        HEARTH_BUILD=self.build, HEARTH_KERNEL=kernel, HEARTH_TOP=top,
                        HEARTH_VM=os.path.join(top, 'tests/qemu/vm'))
        self.env.pop('MAKEFLAGS', None)
        self.processes = set()
        self.stopping = False
        self.kernel_locks = {part: threading.Lock() for part in TEST_KERNELS}
        self.arm64_lock = threading.Lock()
        self.arm64_module = None
        if os.path.isdir(self.models):
            self.models = self.env['HEARTH_MODELS'] = os.path.abspath(self.models)

    def log(self, name):
        path = os.path.join(self.logs, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def run(self, command, log, seconds=PROGRAM_SECONDS, env=None, folder=None):
        """(status, lines of stdout) of a command; None as status if it hung. All goes to the log."""
        path = self.log(log)
        with open(path, 'wb') as err, open(path + '.out', 'w+b') as out:
            try:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                           cwd=folder or self.top, env=dict(self.env, **(env or {})),
                                           start_new_session=True)
                self.processes.add(process)
                try:
                    status = self.wait(process, 0 if self.stopping else seconds)
                finally:
                    self.processes.discard(process)
            except OSError as e:
                err.write(f'{command[0]}: {e.strerror}\n'.encode())
                status = 127
        with open(path + '.out', encoding='utf-8', errors='replace') as f:
            lines = f.read().splitlines()
        with open(path, 'ab') as whole:
            whole.write(('\n'.join(lines) + '\n').encode())
        os.unlink(path + '.out')
        return status, lines

    @staticmethod
    def wait(process, seconds):
        """Its status; if time is up or we are stopped, the whole group is ended."""
        try:
            return process.wait(seconds)
        except BaseException as e:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.wait(10)
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
            return None

    def stop(self):
        """Ends what runs, in every thread, and what would start."""
        self.stopping = True
        for process in list(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    def tail(self, log, count=6):
        with open(self.log(log), encoding='utf-8', errors='replace') as f:
            return [line.strip() for line in f if line.strip()][-count:]

    def step(self, name, command, log, seconds=1800, bad=None):
        """One result: the command succeeds, and prints no line that matches `bad`."""
        status, _ = self.run(command, log, seconds)
        with open(self.log(log), encoding='utf-8', errors='replace') as f:
            faults = [line.strip() for line in f if bad and re.search(bad, line)]
            f.seek(0)
            errors = [line.strip() for line in f if re.search(r'\berror: |\*\*\* ', line)]
        if status == 0 and not faults:
            return Result(name, PASS, '')
        why = ' | '.join(faults[:4] or errors[:3] or self.tail(log))
        return Result(name, FAIL, f'status {status}: {why}' if status else why)

    def programs(self, folder, prefix=''):
        """The programs of a build folder, as the --only pattern wants them. What meson
        no longer builds is left out; what it could not build fails when it is run."""
        if not os.path.exists(os.path.join(self.build, 'build.ninja')):
            raise FileNotFoundError(f'nothing is built in {self.build}: name the suite "build" too')
        return [os.path.join(self.build, t) for t in link_targets(self.build)
                if os.path.dirname(t) == folder and os.path.basename(t).startswith(prefix)
                and self.wants(t)]

    def wants(self, path):
        return not self.pattern or fnmatch.fnmatch(os.path.basename(path), f'*{self.pattern}*')

    def parallel(self, function, items):
        with concurrent.futures.ThreadPoolExecutor(max_workers=self.jobs) as pool:
            return [r for results in pool.map(function, items) for r in results]


def self_test(ctx):
    """The judges are judged first."""
    problems, count = tap.self_test()
    results = [Result(f'tap reader, {count} streams', FAIL if problems else PASS, ' | '.join(problems))]
    problems = klog.self_test()
    results.append(Result(f'kernel log scanner, {len(klog.SIGNS)} signs',
                          FAIL if problems else PASS, ' | '.join(problems)))
    models = os.path.isdir(ctx.models)
    outcome = PASS if models else FAIL if ctx.strict else SKIP
    results.append(Result('models are there', outcome, '' if models else
                          f'no folder {ctx.models}; set HEARTH_MODELS to where the models are'))
    return results


def build_modules(ctx, name, folder, kernel, *args):
    """A fresh build: a warning shows once only, when its object is made."""
    path = os.path.join(ctx.build, folder)
    shutil.rmtree(path, ignore_errors=True)
    return ctx.step(name, ['scripts/build-modules', testbed.part(kernel)['headers'], path,
                           f'-j{ctx.jobs}', *args], f'build/{name.replace(" ", "-")}.log',
                    bad=r'\b(warning|error):')


def build(ctx):
    results = []
    if not os.path.exists(os.path.join(ctx.build, 'build.ninja')):
        results.append(ctx.step('meson setup', ['meson', 'setup', ctx.build, '-Dwerror=true'],
                                'build/setup.log'))
    else:
        results.append(ctx.step('meson configure', ['meson', 'configure', ctx.build, '-Dwerror=true'],
                                'build/setup.log'))
    results.append(ctx.step('userspace', ['ninja', '-k', '0', '-C', ctx.build, f'-j{ctx.jobs}'],
                            'build/ninja.log'))
    results.append(build_modules(ctx, 'hearth.ko', f'kernel/{ctx.kernel}', ctx.kernel))
    return results


def run_program(ctx, suite, path, env=None):
    name = os.path.basename(path)
    status, lines = ctx.run([path], f'{suite}/{name}.log', env=env)
    if status not in (0, 4) and not any('ok' in line for line in lines):
        lines = lines + ctx.tail(f'{suite}/{name}.log', 2)
    return parse(name, lines, status)


def cmocka(ctx):
    return ctx.parallel(lambda p: run_program(ctx, 'cmocka', p), ctx.programs('tests/cmocka', 'test_'))


def arm64_module(ctx):
    """Built once in a run; it is a result of the suite that comes first."""
    with ctx.arm64_lock:
        if ctx.arm64_module:
            return []
        testbed.ensure([arm64.KERNEL], quiet=True)
        ctx.arm64_module = build_modules(ctx, 'hearth.ko for arm64', f'kernel/{arm64.KERNEL}', arm64.KERNEL)
        return [ctx.arm64_module]


def on_arm64(ctx):
    results = arm64.suite(ctx)
    return results + arm64_module(ctx) if ctx.wants('hearth.ko') else results


# What the runner of guests must notice: name, options, command, status.
NOTICED = [
    ('a good command', [], 'echo good', 0),
    ('the status of a bad one', [], 'exit 7', 7),
    ('a warning in the kernel log', [], 'echo "WARNING: CPU: 0 PID: 1 at x" >/dev/kmsg', 126),
    ('a warning that was expected', [],
     'echo "WARNING: CPU: 0 PID: 1 at x" >/dev/kmsg; echo "# expect-log: WARNING.*at x"', 0),
    ('an expected line that is absent', ['--expect-log', 'never said'], 'true', 126),
    ('a panic', ['--append', 'panic=-1'], 'echo c >/proc/sysrq-trigger; sleep 60', 125),
    ('a guest that hangs', ['--timeout', '12'], 'sleep 600', 124),
]


def vm(ctx):
    """The runner of guests is tested before what it runs."""
    def one(row):
        name, options, script, want = row
        log = 'vm/' + name.replace(' ', '-')
        status, _ = ctx.run([ctx.env['HEARTH_VM'], '--build', ctx.build, '--kernel', ctx.kernel,
                             '--no-device', '--no-driver', '--logs', ctx.log(log + '.d'), *options,
                             '--', 'sh', '-c', script], log + '.log')
        good = status == want
        why = '' if good else f'status {status}, wanted {want}: ' + ' | '.join(ctx.tail(log + '.log', 3))
        return [Result(name, PASS if good else FAIL, why)]
    return ctx.parallel(one, [row for row in NOTICED if ctx.wants(row[0])])


def run_guest(ctx, log, vm_args, command, wanted, seconds):
    """Boots once; results of all framed programs, plus one for the guest itself."""
    status, lines = ctx.run([ctx.env['HEARTH_VM'], '--build', ctx.build, '--logs', ctx.log(log + '.d'),
                             '--timeout', str(seconds), *vm_args, '--', *command],
                            log + '.log', seconds + 60)
    boot = os.path.basename(log)
    results, ran = [], set()
    for program, body, program_status in split_runs(lines):
        ran.add(program)
        results += parse(f'{boot}/{program}', body, program_status)
    # What the runner says of the end; the guest's own output stands behind it.
    tail = ' | '.join([x for x in ctx.tail(log + '.log', 100000) if x.startswith('vm: ')][:3])
    results += [Result(f'{boot}/{w}: did not run', FAIL, tail) for w in wanted if w not in ran]
    why = '' if status == 0 else f'vm ended with {status}: {tail}'
    results.append(Result(f'{boot}: guest ends well, kernel log is clean', FAIL if status else PASS, why))
    return results


def guest_programs(ctx, log, kernel, vm_args, programs):
    """Runs programs in one boot, if any; one that is not built must not keep the others from it."""
    lost = [p for p in programs if not os.path.exists(p)]
    if lost:
        others = [p for p in programs if p not in lost]
        return [Result(f'{os.path.basename(p)}: not built', FAIL, '') for p in lost] + \
            guest_programs(ctx, log, kernel, vm_args, others)
    if not programs:
        return []
    names = [os.path.basename(p) for p in programs]
    add = [a for p, n in zip(programs, names) for a in ('--add', f'{p}:/tests/{n}')]
    command = ['env', f'HEARTH_BOOT={os.path.basename(log)}', 'run-tests', str(GUEST_SECONDS),
               *(f'/tests/{n}' for n in names)]
    return run_guest(ctx, log, ['--kernel', kernel, '--scratch', '256M', *vm_args, *add], command, names,
                     120 + 60 * len(programs))


def named(path, patterns):
    return any(fnmatch.fnmatch(os.path.basename(path), p) for p in patterns)


def kselftest(ctx):
    programs = ctx.programs('tests/kselftest')
    results = []
    for name, vm_args, wanted, unwanted in BOOTS:
        chosen = [p for p in programs if named(p, wanted) and not named(p, unwanted)]
        results += guest_programs(ctx, f'kselftest/{name}', ctx.kernel, vm_args, chosen)
    return results + in_region(ctx, 'kselftest/region', ctx.kernel, programs, IN_REGION)


def arm64_guest(ctx):
    """The driver on the architecture of phones."""
    try:
        testbed.ensure(arm64.GUEST_PARTS, quiet=True)
    except testbed.Failure as e:
        if ctx.strict:
            raise
        return [Result('arm64 guest', SKIP, str(e).splitlines()[0])]
    chosen = [(name, vm_args, list(filter(ctx.wants, wanted))) for name, vm_args, wanted in ARM64_BOOTS]
    targets = sorted({f'tests/kselftest/{p}' for _, _, programs in chosen for p in programs})
    results = arm64.build(ctx, ['hearth', *targets], 'guest') + arm64_module(ctx)
    if any(r.outcome == FAIL for r in results):
        return results
    folder = os.path.join(arm64.folder(ctx), 'tests/kselftest')
    for name, vm_args, programs in chosen:
        results += guest_programs(ctx, f'arm64-guest/{name}', arm64.KERNEL, vm_args,
                                  [os.path.join(folder, p) for p in programs])
    return results + (arm64.same_bits_in_guest(ctx) if ctx.wants('same-bits') else [])


def new_kernel(ctx):
    """The newest kernel that Debian has: what the driver leaves to it compiles, and holds."""
    try:
        testbed.ensure([NEW_KERNEL], quiet=True)
    except testbed.Failure as e:
        if ctx.strict:
            raise
        return [Result('newest kernel', SKIP, str(e).splitlines()[0])]
    module = build_modules(ctx, f'hearth.ko for {testbed.part(NEW_KERNEL)["version"]}',
                           f'kernel/{NEW_KERNEL}', NEW_KERNEL, 'W=1')
    if module.outcome == FAIL:
        return [module]
    programs = ctx.programs('tests/kselftest')
    chosen = [p for p in programs if named(p, NEW_KERNEL_PROGRAMS)]
    return [module] + guest_programs(ctx, 'new-kernel/msi', NEW_KERNEL, [*VGEM, *FAT], chosen) + \
        dmem(ctx, [p for p in programs if named(p, DMEM_PROGRAMS)])


def dmem(ctx, programs):
    """Of the newest kernel what Debian leaves out."""
    results = test_kernel(ctx, 'dmem')
    if any(r.outcome != PASS for r in results):
        return results
    results.append(build_modules(ctx, 'hearth.ko for the dmem kernel', 'kernel/dmem', 'dmem', 'W=1'))
    return results + guest_programs(ctx, 'new-kernel/dmem', 'dmem', [], programs)


def in_region(ctx, log, kernel, programs, names):
    return guest_programs(ctx, log, kernel, REGION, [p for p in programs if named(p, names)])


def test_kernel(ctx, part):
    """CI skips nothing: it is built once, and kept in the cache from then on. Beside the guests."""
    name = f'{part} kernel'
    with ctx.kernel_locks[part]:
        if ctx.strict:
            return [ctx.step(name, ['scripts/build-kernel', part, f'-j{ctx.jobs}'],
                             f'test-kernels/{part}.log', 3000)]
        if part in testbed.load_state():
            return [Result(name, PASS, '')]
        return [Result(name, SKIP, 'it is not built; run: make test-kernels')]


def test_kernels(ctx):
    return [r for part in TEST_KERNELS for r in test_kernel(ctx, part)]


def debug(ctx):
    """The programs of kselftest and the KUnit tests, on the kernel that checks itself."""
    results = [r for r in test_kernel(ctx, 'debug') if r.outcome != PASS]
    if results:
        return results
    results += [build_modules(ctx, 'hearth.ko for the debug kernel', 'kernel/debug', 'debug')]
    modules = os.path.join(ctx.build, 'kernel/debug/kernel')
    kunit = [f for f in sorted(os.listdir(modules)) if f.endswith('_kunit.ko') and ctx.wants(f)]
    add = [a for f in kunit for a in ('--add', f'{modules}/{f}:/tests/{f}')]
    programs = ctx.programs('tests/kselftest')
    others = [p for p in programs if not named(p, ['region', *TWO_NPUS, *DMEM_ONLY])]
    two = [p for p in programs if named(p, TWO_NPUS)]
    # It comes last, when the lane of the host has ended: a guest for each half.
    guests = [lambda: guest_programs(ctx, 'debug/kasan-1', 'debug', [], others[::2]),
              lambda: guest_programs(ctx, 'debug/kasan-2', 'debug', [], others[1::2]),
              lambda: in_region(ctx, 'debug/region', 'debug', programs, ['region']),
              lambda: guest_programs(ctx, 'debug/two', 'debug', TWO, two),
              lambda: run_guest(ctx, 'debug/kunit', ['--kernel', 'debug', '--no-device', *add],
                                ['run-kunit', *(f'/tests/{f}' for f in kunit)], kunit, 120) if kunit else []]
    return results + ctx.parallel(lambda run: run(), guests)


def e2e(ctx):
    """Scripts: TAP if they print a plan, else one test each by their status."""
    folder = os.path.join(ctx.top, 'tests/e2e')
    scripts = [os.path.join(folder, f) for f in sorted(os.listdir(folder))] if os.path.isdir(folder) else []
    results = []
    for path in scripts:
        if not (os.path.isfile(path) and os.access(path, os.X_OK) and ctx.wants(path)):
            continue
        name = os.path.basename(path)
        status, lines = ctx.run([path], f'e2e/{name}.log', 1800)
        if any(re.match(r'(not )?ok\b|1\.\.\d', line) for line in lines) or status == 4:
            results += parse(name, lines, status)
        else:
            why = '' if status == 0 else f'status {status}: ' + ' | '.join(ctx.tail(f'e2e/{name}.log'))
            results.append(Result(name, FAIL if status else PASS, why))
    return results


def sources(ctx, folders, endings):
    out = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard', *folders],
                         cwd=ctx.top, capture_output=True, text=True, check=True).stdout.split()
    return [f for f in out if f.endswith(endings) and os.path.exists(os.path.join(ctx.top, f))]


def check_spdx(ctx):
    wanted = [(('kernel/',), r'SPDX-License-Identifier: GPL-2\.0'),
              (('uapi/',), r'SPDX-License-Identifier: \(?GPL-2\.0.*WITH Linux-syscall-note\)? OR MIT'),
              (('',), r'SPDX-License-Identifier: ')]
    bad = []
    for f in sources(ctx, ['.'], ('.c', '.h', '.py', '.sh', '.build', '.rst', '.yaml')):
        with open(os.path.join(ctx.top, f), encoding='utf-8', errors='replace') as text:
            head = text.readline() + text.readline()
        pattern = next(p for prefixes, p in wanted if f.startswith(prefixes))
        if not re.search(pattern, head):
            bad.append(f)
    return Result('SPDX line in each source', FAIL if bad else PASS, ' '.join(bad[:10]))


def check_scripts(ctx):
    """Each script parses, whether its name ends in .py or .sh or in nothing."""
    found = {'python': [], 'sh': []}
    for f in sources(ctx, ['.'], ('',)):
        path = os.path.join(ctx.top, f)
        if os.path.islink(path) or os.path.isdir(path):
            continue
        with open(path, 'rb') as script:
            m = re.match(rb'#!/.*\b(python|sh)', script.readline(100))
        if m:
            found[m[1].decode()].append(f)
    parse_only = 'import ast,sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]'
    each = 'for f; do sh -n "$f" || exit 1; done'
    return [ctx.step(f'{len(found["python"])} Python scripts parse',
                     [sys.executable, '-c', parse_only, *found['python']], 'style/python.log'),
            ctx.step(f'{len(found["sh"])} shell scripts parse',
                     ['sh', '-c', each, 'sh', *found['sh']], 'style/shell.log')]


def kernel_tree(ctx):
    """The sources at the places that they would have in a kernel: checkpatch minds them."""
    tree = os.path.join(ctx.logs, 'style/tree')
    shutil.rmtree(tree, ignore_errors=True)
    for source, place in (('kernel', 'drivers/accel/hearth'), ('uapi', 'include/uapi')):
        os.makedirs(os.path.dirname(os.path.join(tree, place)), exist_ok=True)
        os.symlink(os.path.join(ctx.top, source), os.path.join(tree, place))
    return tree


def check_one(ctx, tool, tree, path):
    """checkpatch --strict on one file: 0 errors, 0 warnings, 0 checks."""
    log = f'style/{path.replace("/", "_")}.log'
    place = re.sub('^kernel/', 'drivers/accel/hearth/', re.sub('^uapi/', 'include/uapi/', path))
    status, lines = ctx.run(['perl', tool, '--strict', '--no-tree', '--emacs', '--show-types',
                             '--max-line-length=100', '-f', place], log, 60, folder=tree)
    if status == 0 and any(line.startswith('total: 0 errors, 0 warnings, 0 checks') for line in lines):
        return [Result(f'checkpatch {path}', PASS, '')]
    faults = [line for line in lines if re.search(r': (ERROR|WARNING|CHECK):', line)]
    return [Result(f'checkpatch {path}', FAIL, ' | '.join(faults[:3]) or f'status {status}')]


def style(ctx):
    testbed.ensure(['checkpatch'], quiet=True)
    tool = os.path.join(testbed.part('checkpatch')['path'], 'scripts/checkpatch.pl')
    kernel = testbed.part(ctx.kernel)
    files = [f for f in sources(ctx, STYLE_FOLDERS, ('.c', '.h')) if ctx.wants(f)]
    tree = kernel_tree(ctx)
    results = ctx.parallel(lambda f: check_one(ctx, tool, tree, f), files)
    results.append(build_modules(ctx, 'W=1 and sparse', 'check/modules-style', ctx.kernel, 'W=1', 'C=2',
                                 'CF=-D__CHECK_ENDIAN__'))
    doc = os.path.join(kernel['headers'], 'scripts/kernel-doc')
    if files:
        results.append(ctx.step('kernel-doc', ['perl', doc, '-none', *files],
                                'style/kernel-doc.log', bad=r'warning:|error:'))
    results += devicetree.check(ctx) if not ctx.pattern else []
    results += check_scripts(ctx)
    results.append(check_spdx(ctx))
    return results


def fuzz(ctx):
    """Each fuzzer runs for $HEARTH_FUZZ_SECONDS from a fixed seed; its status is the verdict."""
    env = {'HEARTH_FUZZ_SECONDS': str(FUZZ_SECONDS), 'HEARTH_FUZZ_SEED': '1'}

    def one(path):
        name = os.path.basename(path)
        status, lines = ctx.run([path], f'fuzz/{name}.log', FUZZ_SECONDS * 20, env)
        if any(re.match(r'1\.\.\d', line) for line in lines):
            return parse(name, lines, status)
        why = '' if status == 0 else f'status {status}: ' + ' | '.join(ctx.tail(f'fuzz/{name}.log'))
        return [Result(name, PASS if status == 0 else FAIL, why)]
    return ctx.parallel(one, ctx.programs('tests/fuzz', 'fuzz_'))


SANITIZERS = [('asan', '', {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1',
                            'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}),
              ('tsan', ('exec', 'npu', 'pool', 'queue', 'runtime', 'stub', 'vfu'),
               {'TSAN_OPTIONS': 'halt_on_error=1'})]


def sanitizers(ctx):
    results = []
    for name, only, env in SANITIZERS:
        folder = sanitized.folder(ctx, name)
        results += sanitized.setup(ctx, name)
        # Only what is run is built: the fuzzers have sanitizers of their own.
        targets = [t for t in link_targets(folder)
                   if t.startswith('tests/cmocka/test_') and ctx.wants(t)
                   and (not only or any(o in os.path.basename(t) for o in only))]
        if not targets:
            if not ctx.pattern:
                results.append(Result(f'{name}: no program', FAIL, f'{folder} knows none'))
            continue
        results += sanitized.build(ctx, name, targets)
        programs = [os.path.join(folder, t) for t in targets]
        found = ctx.parallel(lambda p, n=name, e=env: run_program(ctx, n, p, e), programs)
        results += [Result(f'{name}/{r.name}', r.outcome, r.reason) for r in found]
    return results


# name, lane, function, what it is; in the order of a run. First what all others
# need; then the lanes, side by side: a guest often waits, a compiler does not.
FIRST, HOST, GUEST = range(3)
SUITES = [
    ('self-test', FIRST, self_test, 'the judges catch what they must'),
    ('build', FIRST, build, 'userspace, emulated NPU, tests, hearth.ko: no warning'),
    ('style', HOST, style, 'checkpatch --strict, W=1, sparse, kernel-doc, SPDX'),
    ('cmocka', HOST, cmocka, 'unit tests on the host'),
    ('test-kernels', HOST, test_kernels, 'kernels with dmem, with KASAN and lockdep; in CI built if absent'),
    ('fuzz', HOST, fuzz, 'hostile files and streams'),
    ('sanitizers', HOST, sanitizers, 'unit tests under ASan+UBSan, threads under TSan'),
    ('arm64', HOST, on_arm64, 'NEON under qemu-user: the bits of plain C, and of this machine; hearth.ko'),
    ('avx512', HOST, avx512.suite, 'AVX-512 under Bochs: the bits of plain C, and of this machine'),
    ('vm', GUEST, vm, 'the runner of guests notices what it must'),
    ('kselftest', GUEST, kselftest, 'ioctls, faults, unplug, in the guest'),
    ('new-kernel', GUEST, new_kernel, 'the newest kernel of Debian: hearth.ko with W=1, and a boot of it'),
    ('arm64-guest', GUEST, arm64_guest, 'the driver on arm64, by device tree; NPU, guest and host: same bits'),
    ('e2e', GUEST, e2e, 'models, end to end'),
    ('debug', GUEST, debug, 'KUnit and kselftest on a kernel with KASAN and lockdep'),
]
