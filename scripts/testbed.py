#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fills the cache with what the tests need and no machine has: a QEMU that
knows vfio-user, stock Debian kernels with the headers to build against, and the
peers that the benchmarks compare with.

Nothing is installed. A private apt (own index, own state, empty dpkg status)
resolves and downloads; dpkg-deb unpacks. The mirror and its key are those of
the system's own apt configuration.

    testbed.py [PART...]     make sure that these parts are there (default: qemu 6.12-amd64)
    testbed.py --refresh     forget the resolved versions and resolve anew
    testbed.py --get PART X  print what is known of a part: path, version, headers, image, modules
"""
import contextlib
import fcntl
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import time

# What the machine that builds is.
HOST_ARCH = 'amd64'
HOST_LIBRARIES = 'usr/lib/x86_64-linux-gnu'
HOST_LOADER = 'usr/lib64/ld-linux-x86-64.so.2'
NEWEST_SUITES = ['trixie-backports', 'trixie']
# arch: Debian's name. host: codename of the build machine -> suites, the
# first of which wins. A kernel must fit the machine's gcc, so it depends on it.
KERNELS = {
    '6.12-amd64': {
        'arch': 'amd64', 'series': '6.12',
        'suites': {'bookworm': ['bookworm-backports'],
                   'trixie': ['trixie', 'trixie-updates']},
    },
    '6.12-arm64': {
        'arch': 'arm64', 'series': '6.12',
        'suites': {'bookworm': ['bookworm-backports'],
                   'trixie': ['trixie', 'trixie-updates']},
    },
    # Without a series: what the suite's linux-headers-amd64 names. It brings the gcc that
    # it was made with, so the machine's does not matter.
    'new-amd64': {'arch': 'amd64', 'suites': dict.fromkeys(('bookworm', 'trixie'), NEWEST_SUITES)},
}
QEMU_SUITES = ['trixie-backports', 'trixie']
QEMU_MINIMUM = (10, 1)
# By the architecture of the guest.
QEMUS = {
    'qemu': {'arch': 'amd64', 'package': 'qemu-system-x86', 'command': 'qemu-system-x86_64'},
    'qemu-arm64': {'arch': 'arm64', 'package': 'qemu-system-arm', 'command': 'qemu-system-aarch64'},
}
# Other people's programs: engines for the benchmarks, a CPU in software, a judge of device
# trees. Their libc is newer than the machine's: `run` in the part's folder starts one with its own.
# needs: how the names of the packages begin that are fetched beside those named (all).
# plugins: a folder that is compiled in as a path of the installed system, and
# is looked for beside the program (so, the loader) too.
PEERS = {
    'llama.cpp': {'suites': ['sid'], 'packages': ['llama.cpp', 'llama.cpp-tools-extra'],
                  'folders': ['llama'], 'plugins': 'ggml/backends0', 'check': ['llama-bench', '--version']},
    'xnnpack': {'suites': ['sid'], 'packages': ['libxnnpack-dev', 'libpthreadpool-dev']},
    'onnxruntime': {'suites': ['sid'], 'packages': ['libonnxruntime-dev']},
    # With what makes a disk that boots; what else they need are libraries.
    'bochs': {'suites': ['trixie'], 'needs': 'lib', 'check': ['genisoimage', '--version'],
              'packages': ['bochs', 'bochs-term', 'bochsbios', 'vgabios', 'isolinux', 'syslinux-common',
                           'genisoimage']},
    # With the Python that it is for. Debian 12 has an old one, Debian 13 none of its own.
    'dt-schema': {'suites': NEWEST_SUITES, 'packages': ['dt-schema'],
                  'check': ['python3', '-I', '-c', 'import dtschema']},
}
# Modules of the image that a test may load; the rest is 600 MB of other hardware.
MODULE_FOLDERS = ('drivers/accel', 'drivers/gpu', 'drivers/dma-buf', 'drivers/iommu',
                  'drivers/virtio', 'drivers/block', 'drivers/char', 'drivers/i2c',
                  'drivers/video', 'drivers/media/cec', 'drivers/media/rc', 'fs',
                  'net/9p', 'lib', 'crypto', 'mm', 'arch')
# What a program for arm64 is built with, beside the compiler and its libc.
ARM64_PACKAGES = ('libcjson1', 'libcjson-dev', 'libcmocka0', 'libcmocka-dev', 'libdrm2', 'libdrm-dev',
                  'libsodium23', 'libsodium-dev')
# The guest's shell, where it cannot be the host's.
BUSYBOX = 'busybox-static'
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
DEFAULT_PARTS = ['qemu', '6.12-amd64']
FORMAT = 1


class Failure(Exception):
    """An error with advice; main() prints it without a traceback."""


def cache_dir():
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return os.path.join(base, 'hearth')


def run(cmd, **kw):
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, errors='replace', **kw)
    if p.returncode:
        tail = '\n  '.join(p.stdout.strip().splitlines()[-8:])
        raise Failure(f'{" ".join(cmd[:1])} failed with status {p.returncode}:\n  {tail}')
    return p.stdout


def os_release():
    try:
        with open('/etc/os-release', encoding='utf-8') as f:
            return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', f.read(), re.M))
    except OSError:
        return {}


def codename():
    info = os_release()
    name = info.get('VERSION_CODENAME', 'unknown')
    known = sorted(KERNELS['6.12-amd64']['suites'])
    if name not in known:
        raise Failure(f'this system is "{info.get("PRETTY_NAME", name)}"; the tests know Debian '
                      f'{" and ".join(known)}. Run in a container of one of them.')
    return name


def mirror(release):
    """(address, keyring) of the archive that the system's apt uses for its own release."""
    form = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)'
    rows = run(['apt-get', 'indextargets', '--format', form, 'Created-By: Packages'])
    for row in rows.splitlines():
        uri, suite, component, key = row.strip().split('|')
        if suite in (release, 'stable', 'oldstable') and component == 'main':
            # Some versions of apt give fingerprints here in place of the file.
            return uri, key if key.startswith('/') else KEYRING
    raise Failure(f'apt has no source for {release} main, so there is no mirror to ask. '
                  'Add one to /etc/apt/sources.list.')


@contextlib.contextmanager
def step(number, total, what):
    start = time.monotonic()
    print(f'[{number}/{total}] {what} ...', end=' ', flush=True)
    notes = []
    try:
        yield notes
    except BaseException:
        print('failed', flush=True)
        raise
    seconds = time.monotonic() - start
    print(', '.join(notes + [f'{seconds:.1f} s']), flush=True)


@contextlib.contextmanager
def staged(target):
    """A folder that appears at target complete, or not at all."""
    tmp = f'{target}.tmp.{os.getpid()}'
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    try:
        yield tmp
        shutil.rmtree(target, ignore_errors=True)
        os.rename(tmp, target)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


class Apt:
    """An apt of our own, that sees the given suites and an empty machine."""

    def __init__(self, suites, arch='amd64', sources=False):
        release = codename()
        uri, key = mirror(release)
        self.suites = suites
        self.dir = os.path.join(cache_dir(), 'apt', '+'.join(suites) + '-' + arch + '-src' * sources)
        for d in ('lists/partial', 'cache/archives/partial'):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        open(self.path('status'), 'a', encoding='utf-8').close()
        with open(self.path('sources.list'), 'w', encoding='utf-8') as f:
            for s in suites:
                for kind in ('deb', 'deb-src') if sources else ('deb',):
                    f.write(f'{kind} [signed-by={key}] {uri} {s} main\n')
        opts = {'Dir::State': self.dir, 'Dir::State::status': self.path('status'),
                'Dir::State::Lists': self.path('lists'), 'Dir::Cache': self.path('cache'),
                'Dir::Etc::sourcelist': self.path('sources.list'),
                'Dir::Etc::sourceparts': '/dev/null', 'Dir::Etc::preferences': '/dev/null',
                'Dir::Etc::PreferencesParts': '/dev/null', 'Acquire::Languages': 'none',
                'Acquire::Retries': '3', 'APT::Sandbox::User': '',
                'APT::Install-Recommends': 'false', 'APT::Architecture': arch,
                'APT::Default-Release': suites[0], 'APT::Get::List-Cleanup': 'false'}
        self.opts = [a for k, v in opts.items() for a in ('-o', f'{k}={v}')]

    def path(self, name):
        return os.path.join(self.dir, name)

    def update(self):
        try:
            run(['apt-get', *self.opts, '-q', '-o', 'APT::Update::Error-Mode=any', 'update'])
        except Failure as e:
            raise Failure(f'{e}\n  The package index did not arrive; check the network and '
                          'the first Debian source in /etc/apt.') from None

    def names(self, prefix):
        return run(['apt-cache', *self.opts, 'pkgnames', prefix]).split()

    def version(self, package):
        """Newest version in the preferred suite."""
        out = run(['apt-cache', *self.opts, 'policy', package])
        m = re.search(r'Candidate: (\S+)', out)
        if not m or m[1] == '(none)':
            raise Failure(f'package {package} is not in the archive')
        return m[1]

    def closure(self, *packages):
        out = run(['apt-get', *self.opts, '-s', '-y', 'install', *packages])
        return [f'{p}={v}' for p, v in re.findall(r'^Inst (\S+) (?:\[\S+\] )?\((\S+)', out, re.M)]

    def download(self, packages, folder):
        os.makedirs(folder, exist_ok=True)
        run(['apt-get', *self.opts, '-q', 'download', *packages], cwd=folder)
        return sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith('.deb'))

    def source(self, package, folder):
        """The upstream tarball of a source package."""
        run(['apt-get', *self.opts, '-q', 'source', '--download-only', '--tar-only', package], cwd=folder)
        found = [f for f in os.listdir(folder) if '.orig.tar.' in f]
        if not found:
            raise Failure(f'the source of {package} came without its tarball')
        return os.path.join(folder, found[0])


def state_file():
    return os.path.join(cache_dir(), 'testbed.json')


def load_state():
    try:
        with open(state_file(), encoding='utf-8') as f:
            state = json.load(f)
    except (OSError, ValueError):
        return {}
    if state.get('format') != FORMAT:
        return {}
    # Kernels and libraries fit the release that they were chosen for, and its compiler.
    here = os_release().get('VERSION_CODENAME')
    if state.get('release', here) != here:
        return {}
    parts = {k: v for k, v in state.get('parts', {}).items() if os.path.exists(v['path'])}
    # A record of the time when a kernel for arm64 was only built for.
    return {k: v for k, v in parts.items() if k not in KERNELS or 'image' in v}


def save_state(parts):
    tmp = state_file() + f'.{os.getpid()}'
    with open(tmp, 'w', encoding='utf-8') as f:
        json.dump({'format': FORMAT, 'release': os_release().get('VERSION_CODENAME'),
                   'parts': parts}, f, indent=1, sort_keys=True)
        f.write('\n')
    os.rename(tmp, state_file())


def part(name):
    """The record of a part that is in the cache: path, version and more."""
    parts = load_state()
    if name not in parts:
        raise Failure(f'{name} is not in the cache; run: scripts/setup {name}')
    return parts[name]


def qemu_version(command):
    try:
        out = subprocess.run([command, '--version'], capture_output=True, text=True,
                             check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    m = re.search(r'version (\d+)\.(\d+)\.(\d+)', out)
    return tuple(int(x) for x in m.groups()) if m else None


def dotted(version):
    return '.'.join(str(x) for x in version)


def write_wrapper(root, command):
    """QEMU with its own libc and data, wherever the cache is moved to."""
    path = os.path.join(root, 'qemu')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'''#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
lib=$root/{HOST_LIBRARIES}
QEMU_MODULE_DIR=$lib/qemu
export QEMU_MODULE_DIR
exec "$root/{HOST_LOADER}" --argv0 {command} --library-path "$lib" \\
	"$root/usr/bin/{command}" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
''')
    os.chmod(path, 0o755)


def unpack(debs, root):
    for d in ('usr/lib', 'usr/lib64', 'usr/bin'):
        os.makedirs(os.path.join(root, d), exist_ok=True)
    for d in ('lib', 'lib64', 'bin'):
        if not os.path.lexists(os.path.join(root, d)):
            os.symlink(f'usr/{d}', os.path.join(root, d))
    for deb in debs:
        # tar, not dpkg-deb -x: it follows the merged-/usr links of root.
        run(['sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | '
             'tar -x --no-same-owner --keep-directory-symlink -C "$2"', 'sh', deb, root])


def get_qemu(name, notes):
    row = QEMUS[name]
    have = qemu_version(row['command'])
    if have and have >= QEMU_MINIMUM:
        notes.append(f'{dotted(have)} of the system')
        return {'path': shutil.which(row['command']), 'version': dotted(have)}
    apt = Apt(QEMU_SUITES)
    apt.update()
    version = apt.version(row['package'])
    root = os.path.join(cache_dir(), f'{name}-' + version.replace(':', '_'))
    if not os.path.exists(os.path.join(root, 'qemu')):
        with staged(root) as tmp:
            debs = apt.download(apt.closure(row['package']), os.path.join(tmp, 'debs'))
            unpack(debs, tmp)
            shutil.rmtree(os.path.join(tmp, 'debs'))
            write_wrapper(tmp, row['command'])
    wrapper = os.path.join(root, 'qemu')
    got = qemu_version(wrapper)
    if not got or got < QEMU_MINIMUM:
        shutil.rmtree(root)
        raise Failure(f'QEMU {version} was unpacked but does not run (wanted >= '
                      f'{dotted(QEMU_MINIMUM)}); try: {wrapper} --version')
    notes.append(f'{dotted(got)} from {QEMU_SUITES[0]}')
    return {'path': wrapper, 'version': dotted(got)}


def write_runner(root, folders):
    """run PROGRAM ARGS: with the libraries of root, wherever the cache is moved to."""
    path = os.path.join(root, 'run')
    search = ':'.join('$lib' + f'/{f}' * bool(f) for f in ['', *folders])
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'''#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
lib=$root/{HOST_LIBRARIES}
program=$1
shift
case $program in
*/*) ;;
*) program=$root/usr/bin/$program ;;
esac
exec "$root/{HOST_LOADER}" --library-path "{search}" "$program" "$@"
''')
    os.chmod(path, 0o755)
    return path


def get_peer(name, notes):
    """The packages of a peer and all that they need, unpacked, none installed."""
    row = PEERS[name]
    apt = Apt(row['suites'])
    apt.update()
    version = apt.version(row['packages'][0])
    root = os.path.join(cache_dir(), f'{name}-{version.replace(":", "_")}')
    if not os.path.isdir(root):
        with staged(root) as tmp:
            wanted = [p for p in apt.closure(*row['packages'])
                      if p.startswith(row.get('needs', '')) or p.split('=')[0] in row['packages']]
            unpack(apt.download(wanted, os.path.join(tmp, 'debs')), tmp)
            shutil.rmtree(os.path.join(tmp, 'debs'))
            lib = os.path.join(tmp, HOST_LIBRARIES)
            for plugin in os.listdir(os.path.join(lib, row['plugins'])) if row.get('plugins') else []:
                os.symlink(f'{row["plugins"]}/{plugin}', os.path.join(lib, plugin))
            runner = write_runner(tmp, row.get('folders', []))
            if row.get('check'):
                run([runner, *row['check']])
    notes.append(f'{version} from {row["suites"][0]}')
    return {'path': root, 'version': version, 'run': os.path.join(root, 'run')}


def newest_kernel(apt, row):
    if 'series' not in row:
        out = run(['apt-cache', *apt.opts, 'depends', f'linux-headers-{row["arch"]}'])
        m = re.search(r'Depends: linux-headers-(\d\S*)-%s$' % row['arch'], out, re.M)
        if not m:
            raise Failure(f'{apt.suites[0]} names no newest kernel for {row["arch"]}')
        return m[1]
    pattern = re.compile(r'linux-headers-(%s\.(\d+)\S*)-%s$' % (re.escape(row['series']), row['arch']))
    found = [m for m in map(pattern.match, apt.names(f'linux-headers-{row["series"]}.')) if m]
    found = [m for m in found if not re.search(r'cloud|rt', m[1])]
    if not found:
        raise Failure(f'no {row["series"]} kernel for {row["arch"]} in the archive')
    return max(found, key=lambda m: int(m[2]))[1]


def extract_vmlinux(image, out):
    """The uncompressed kernel in a bzImage: it boots by PVH, 1.5 s faster under TCG."""
    with open(image, 'rb') as f:
        data = f.read()
    if data[0x202:0x206] != b'HdrS':
        raise Failure(f'{image} is no bzImage')
    sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from('<II', data, 0x248)
    payload = data[(sectors + 1) * 512 + offset:][:length]
    if payload[:4] == b'\x28\xb5\x2f\xfd':
        # The last four bytes are the size, added by the kernel's build.
        elf = subprocess.run(['zstd', '-dcq'], input=payload[:-4], capture_output=True,
                             check=True).stdout
    elif payload[:6] == b'\xfd7zXZ\0':
        elf = lzma.LZMADecompressor().decompress(payload)
    else:
        raise Failure(f'{image}: compression {payload[:4].hex()} is not known')
    if elf[:4] != b'\x7fELF':
        raise Failure(f'{image}: payload is no ELF file')
    with open(out, 'wb') as f:
        f.write(elf)


def unpack_image(debs, root, version):
    base = [f'*/modules/{version}/modules.*', f'*/modules/{version}/vmlinuz', './boot/*']
    base += [f'*/modules/{version}/kernel/{d}/*' for d in MODULE_FOLDERS]
    for deb in debs:
        # A folder that a package does not have is no error; an empty result is, below.
        run(['sh', '-c', 'deb=$1; root=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x '
             '--no-same-owner --keep-directory-symlink --wildcards -C "$root" "$@" 2>/dev/null || true',
             'sh', deb, root, *base])
    if not os.path.exists(os.path.join(root, 'lib/modules')):
        os.makedirs(os.path.join(root, 'lib'), exist_ok=True)
        shutil.move(os.path.join(root, 'usr/lib/modules'), os.path.join(root, 'lib/modules'))
    if not os.path.isdir(os.path.join(root, f'lib/modules/{version}/kernel/drivers/gpu')):
        raise Failure(f'{os.path.basename(debs[0])} has no modules of {version}')
    run([shutil.which('depmod') or '/sbin/depmod', '-b', root, version])


def boot_image(root, name, arch):
    """The file that QEMU's -kernel takes."""
    return os.path.join(root, 'vmlinux' if arch == 'amd64' else f'boot/vmlinuz-{name}')


def fix_headers(root, version, arch, search=''):
    """Debian's headers name their common part by an absolute path. A folder in search is
    where their compiler is: whoever builds against them has it first in the path."""
    final = root.split('.tmp.')[0]
    path = os.path.join(root, f'usr/src/linux-headers-{version}-{arch}/Makefile')
    with open(path, encoding='utf-8') as f:
        text = f.read()
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'export PATH := {final}/{search}:$(PATH)\n' if search else '')
        f.write(text.replace('/usr/src/', f'{final}/usr/src/'))


def unpack_kernel(apt, row, version, root):
    """Headers, the host's programs that go with them, and the image."""
    name = f'{version}-{row["arch"]}'
    debs = os.path.join(root, 'debs')
    wanted = [f'linux-headers-{name}', f'linux-headers-{version}-common', f'linux-image-{name}']
    tools = apt
    if row['arch'] != HOST_ARCH:
        tools = Apt(row['suites'][codename()], HOST_ARCH)
        tools.update()
    apt.download(wanted, debs)
    tools.download([f'linux-kbuild-{version}'], debs)
    for deb in sorted(os.listdir(debs)):
        path = os.path.join(debs, deb)
        if deb.startswith('linux-image'):
            unpack_image([path], root, name)
            if row['arch'] == 'amd64':
                extract_vmlinux(os.path.join(root, f'boot/vmlinuz-{name}'),
                                boot_image(root, name, row['arch']))
        else:
            run(['dpkg-deb', '-x', path, root])
    shutil.rmtree(debs)
    fix_headers(root, version, row['arch'])


def wrap_programs(root):
    """Programs of root run on the libc of root, even those that others of them start."""
    final = root.split('.tmp.')[0]
    for folder, _, names in os.walk(os.path.join(root, 'usr')):
        for path in (os.path.join(folder, n) for n in names if '.so' not in n):
            if os.path.islink(path) or not os.access(path, os.X_OK):
                continue
            with open(path, 'rb') as f:
                if f.read(4) != b'\x7fELF':
                    continue
            os.rename(path, path + '.elf')
            inside = os.path.relpath(path, root)
            with open(path, 'w', encoding='utf-8') as f:
                f.write(f'#!/bin/sh\nexec {final}/{HOST_LOADER} --argv0 "$0" --library-path '
                        f'{final}/{HOST_LIBRARIES} {final}/{inside}.elf "$@"\n')
            os.chmod(path, 0o755)


def unpack_newest_kernel(apt, row, version, root):
    """The same with the compiler and the libc of both. The image is in three packages."""
    name = f'{version}-{row["arch"]}'
    debs, image = os.path.join(root, 'debs'), os.path.join(root, 'image')
    unpack(apt.download(apt.closure(f'linux-headers-{name}', 'binutils'), debs), root)
    parts = [f'linux-{part}-{name}' for part in ('base', 'binary', 'modules')]
    unpack_image(apt.download(parts, image), root, name)
    shutil.rmtree(debs)
    shutil.rmtree(image)
    extract_vmlinux(os.path.join(root, f'lib/modules/{name}/vmlinuz'), boot_image(root, name, row['arch']))
    wrap_programs(root)
    fix_headers(root, version, row['arch'], 'usr/bin')


def get_kernel(name, notes):
    row = KERNELS[name]
    apt = Apt(row['suites'][codename()], row['arch'])
    apt.update()
    version = newest_kernel(apt, row)
    arch = row['arch']
    name = f'{version}-{arch}'
    root = os.path.join(cache_dir(), f'linux-{name}')
    image = boot_image(root, name, arch)
    if not os.path.exists(image):
        with staged(root) as tmp:
            (unpack_kernel if 'series' in row else unpack_newest_kernel)(apt, row, version, tmp)
    notes.append(name)
    return {'path': root, 'version': name, 'arch': arch, 'image': image,
            'headers': os.path.join(root, f'usr/src/linux-headers-{name}'),
            'modules': os.path.join(root, f'lib/modules/{name}')}


def get_checkpatch(notes):
    """checkpatch.pl is only in Debian's source package: keep the script, drop the rest."""
    row = KERNELS['6.12-amd64']
    apt = Apt(row['suites'][codename()], row['arch'])
    apt.update()
    package = f'linux-source-{row["series"]}'
    version = apt.version(package)
    root = os.path.join(cache_dir(), f'checkpatch-{version}')
    if not os.path.isdir(root):
        with staged(root) as tmp:
            deb = apt.download([package], os.path.join(tmp, 'debs'))[0]
            run(['sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | '
                 f'tar -xO ./usr/src/{package}.tar.xz | tar -xJ --strip-components=1 -C "$2" '
                 f'--wildcards "{package}/scripts/checkpatch.pl" "{package}/scripts/spelling.txt" '
                 f'"{package}/scripts/const_structs.checkpatch"', 'sh', deb, tmp])
            shutil.rmtree(os.path.join(tmp, 'debs'))
            if not os.path.exists(os.path.join(tmp, 'scripts/checkpatch.pl')):
                raise Failure(f'{package} {version} has no scripts/checkpatch.pl')
    notes.append(version)
    return {'path': root, 'version': version}


def get_arm64_libs(notes):
    """Headers and libraries for a cross build, and the file that tells meson where they are."""
    apt = Apt([codename()], 'arm64')
    apt.update()
    root = os.path.join(cache_dir(), f'arm64-{codename()}')
    with staged(root) as tmp:
        for deb in apt.download(ARM64_PACKAGES, os.path.join(tmp, 'debs')):
            run(['dpkg-deb', '-x', deb, tmp])
        shutil.rmtree(os.path.join(tmp, 'debs'))
        with open(os.path.join(tmp, 'root.ini'), 'w', encoding='utf-8') as f:
            f.write(f"[constants]\nroot = '{root}'\n")
    notes.append(', '.join(p for p in ARM64_PACKAGES if not p.endswith('-dev')))
    return {'path': root, 'version': codename(), 'cross': os.path.join(root, 'root.ini')}


def get_arm64_busybox(notes):
    apt = Apt([codename()], 'arm64')
    apt.update()
    version = apt.version(BUSYBOX)
    root = os.path.join(cache_dir(), f'arm64-busybox-{version.replace(":", "_")}')
    with staged(root) as tmp:
        deb = apt.download([BUSYBOX], os.path.join(tmp, 'debs'))[0]
        run(['dpkg-deb', '-x', deb, tmp])
        shutil.rmtree(os.path.join(tmp, 'debs'))
        program = next(p for p in ('bin/busybox', 'usr/bin/busybox') if os.path.exists(os.path.join(tmp, p)))
    notes.append(version)
    return {'path': os.path.join(root, program), 'version': version}


def get_demo_models(notes):
    """What the demo runs where nobody gave it models: a trained classifier and a
    photograph, as two Debian packages carry them, and a language model of our own."""
    root = os.path.join(cache_dir(), 'demo-models')
    apt = Apt(['trixie'], sources=True)
    apt.update()
    with staged(root) as tmp:
        work = os.path.join(tmp, 'work')
        os.makedirs(work)
        run(['tar', '-xf', apt.source('mesa', work), '-C', tmp, '--no-same-owner', '--wildcards',
             '--strip-components=6', '*/teflon/tests/mobilenet_v1_1.0_224_quant.tflite'])
        for deb in apt.download(['python-matplotlib-data', 'libjpeg-turbo-progs', 'libjpeg62-turbo'], work):
            run(['dpkg-deb', '-x', deb, work])
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(work, HOST_LIBRARIES))
        photo = run(['find', work, '-name', 'grace_hopper.jpg']).strip()
        run([os.path.join(work, 'usr/bin/djpeg'), '-pnm', '-outfile', os.path.join(tmp, 'picture.ppm'),
             photo], env=env)
        shutil.rmtree(work)
        run([os.path.join(os.path.dirname(os.path.abspath(__file__)), 'make-story-model'),
             os.path.join(tmp, 'story.gguf')])
        os.rename(os.path.join(tmp, 'mobilenet_v1_1.0_224_quant.tflite'), os.path.join(tmp, 'classifier.tflite'))
    notes.append('MobileNet v1 of mesa, photograph of matplotlib, story model of our own')
    return {'path': root, 'version': '1'}


def make_part(name, notes):
    if name in QEMUS:
        return get_qemu(name, notes)
    if name == 'checkpatch':
        return get_checkpatch(notes)
    if name == 'arm64-libs':
        return get_arm64_libs(notes)
    if name == 'arm64-busybox':
        return get_arm64_busybox(notes)
    if name == 'demo-models':
        return get_demo_models(notes)
    if name in KERNELS:
        return get_kernel(name, notes)
    if name in PEERS:
        return get_peer(name, notes)
    if name in ('debug', 'dmem'):
        raise Failure(f'the kernel "{name}" is not in the cache; run: make test-kernels')
    known = ', '.join([*QEMUS, 'arm64-libs', 'arm64-busybox', 'checkpatch', 'demo-models',
                       *sorted(KERNELS), *sorted(PEERS)])
    raise Failure(f'"{name}" is no part of the test bed; there are: {known}')


TITLES = {'qemu': 'QEMU', 'qemu-arm64': 'QEMU for arm64 guests', 'arm64-libs': 'libraries for arm64',
          'arm64-busybox': "shell of arm64 guests", 'checkpatch': 'checkpatch from the kernel source',
          'demo-models': 'models for the demo', **{p: p for p in PEERS}}


@contextlib.contextmanager
def locked():
    os.makedirs(cache_dir(), exist_ok=True)
    with open(os.path.join(cache_dir(), 'lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def record(name, what):
    """Adds a part that another script made."""
    with locked():
        save_state(dict(load_state(), **{name: what}))


def ensure(names, refresh=False, quiet=False):
    """Makes every named part present; prints only what it had to do."""
    parts = load_state()
    todo = [n for n in names if refresh or n not in parts]
    if not todo:
        return
    with locked():
        parts = load_state()
        todo = [n for n in names if refresh or n not in parts]
        for i, name in enumerate(todo, 1):
            title = TITLES.get(name, f'Linux {name}')
            with contextlib.nullcontext([]) if quiet else step(i, len(todo), title) as notes:
                parts[name] = make_part(name, notes)
            save_state(parts)


def main(args):
    try:
        if args[:1] == ['--help']:
            print(__doc__.strip())
        elif args[:1] == ['--get'] and len(args) == 3:
            record = part(args[1])
            if args[2] not in record:
                raise Failure(f'{args[1]} has no "{args[2]}", only {", ".join(sorted(record))}')
            print(record[args[2]])
        else:
            refresh = '--refresh' in args
            ensure([a for a in args if a != '--refresh'] or DEFAULT_PARTS, refresh)
    except Failure as e:
        print(f'setup: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('setup: stopped; what was complete is kept, run it again to go on', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
