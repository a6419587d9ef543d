# SPDX-License-Identifier: MIT
"""Builds the guest's root file system: one uncompressed cpio per run.

Programs stay dynamic and share one libc: under TCG each distinct page of code
is translated anew, so static copies would cost more than the loader does.
"""
import lzma
import os
import re
import stat
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
# Where the cross compiler's libc is, as qemu-user wants it for -L.
ARM64_LIBC = '/usr/aarch64-linux-gnu'
EM_AARCH64 = b'\xb7\0'
# What serves where the kernel lacks the module that was asked for.
STAND_INS = {'ext2': ['crc32c_generic', 'ext4'], 'crc32c_generic': []}


class Cpio:
    """A newc archive; folders appear by themselves."""

    def __init__(self, file):
        self.file = file
        self.seen = set()
        self.inode = 0

    def _entry(self, name, mode, data=b'', device=(0, 0)):
        name = name.strip('/')
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b'070701' + b''.join(b'%08X' % f for f in fields) + name.encode() + b'\0'
        self.file.write(head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4))

    def folder(self, name):
        name = name.strip('/')
        if name and name not in self.seen:
            self.folder(os.path.dirname(name))
            self.seen.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def _new(self, name):
        """False if it is there already: the first of a name wins."""
        self.folder(os.path.dirname(name.strip('/')))
        fresh = name.strip('/') not in self.seen
        self.seen.add(name.strip('/'))
        return fresh

    def data(self, name, data, mode=0o644):
        if self._new(name):
            self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        if self._new(name):
            self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        if self._new(name):
            self._entry(name, stat.S_IFCHR | 0o600, b'', (major, minor))

    def copy(self, host, name):
        """A file or a folder of the host, with its mode; links are followed."""
        if os.path.isdir(host):
            self.folder(name)
            for entry in sorted(os.listdir(host)):
                self.copy(os.path.join(host, entry), f'{name}/{entry}')
            return
        with open(host, 'rb') as f:
            data = f.read()
        self.data(name, data, stat.S_IMODE(os.stat(host).st_mode))
        if data[:4] == b'\x7fELF' and not name.endswith('.ko'):
            arm64 = data[18:20] == EM_AARCH64
            for library in libraries(host, arm64):
                # Ours are found by a run path of the build folder, which the guest has not.
                system = library.startswith(('/lib', '/usr/lib'))
                source = ARM64_LIBC + library if system and arm64 else library
                self.copy(source, library if system else f'usr/lib/{os.path.basename(library)}')

    def close(self):
        self._entry('TRAILER!!!', 0)
        self.file.write(b'\0' * (-self.file.tell() % 512))


_LIBRARIES = {}


def dynamic(program):
    p = subprocess.run(['aarch64-linux-gnu-readelf', '-lW', program], capture_output=True, text=True, check=True)
    return re.search(r'^\s*INTERP\b', p.stdout, re.M) is not None


def libraries(program, arm64=False):
    """What the loader would map for a dynamic program, the loader included. Of one for arm64
    these are paths below ARM64_LIBC, where they are not those of its run path."""
    key = os.path.realpath(program)
    if key not in _LIBRARIES:
        ask = ['qemu-aarch64', '-L', ARM64_LIBC, '-E', 'LD_TRACE_LOADED_OBJECTS=1'] if arm64 else ['ldd']
        # A static one would run: it has no loader to heed the wish.
        if arm64 and not dynamic(program):
            ask = ['true']
        p = subprocess.run([*ask, program], capture_output=True, text=True, check=False)
        if 'not found' in p.stdout:
            raise FileNotFoundError(f'{program} needs a library that is not here:\n{p.stdout}')
        _LIBRARIES[key] = re.findall(r'(?:=> )?(/\S+) \(0x', p.stdout)
    return _LIBRARIES[key]


def module_data(path):
    if path.endswith('.xz'):
        with lzma.open(path) as f:
            return f.read()
    with open(path, 'rb') as f:
        data = f.read()
    if path.endswith('.zst'):
        data = subprocess.run(['zstd', '-dcq'], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def module_name(path):
    return os.path.basename(path).split('.ko')[0].replace('-', '_')


def modinfo_depends(data):
    """Names in the `depends=` of a module's .modinfo section."""
    m = re.search(rb'\0depends=([^\0]*)\0', data) or re.search(rb'^depends=([^\0]*)\0', data)
    return [n for n in m[1].decode().split(',') if n] if m else []


class Modules:
    """The kernel's modules, resolved to files in the order of insmod."""

    def __init__(self, folder):
        self.folder = folder
        self.depends = {}
        self.builtin = set()
        with open(os.path.join(folder, 'modules.dep'), encoding='utf-8') as f:
            for line in f:
                path, _, needs = line.partition(':')
                self.depends[module_name(path)] = (path, needs.split())
        try:
            with open(os.path.join(folder, 'modules.builtin'), encoding='utf-8') as f:
                self.builtin = {module_name(line.strip()) for line in f}
        except FileNotFoundError:
            pass

    def resolve(self, names):
        """Files for the named modules and all they need; those built in need none."""
        order = []
        for name in (n.replace('-', '_') for n in names):
            if name in self.depends or name in self.builtin:
                self._append(name, order)
            else:
                for other in STAND_INS.get(name, [name]):
                    self._append(other, order)
        return [os.path.join(self.folder, p) for p in order]

    def _append(self, name, order):
        if name in self.builtin:
            return
        if name not in self.depends:
            raise FileNotFoundError(f'the kernel in {self.folder} has no module {name}')
        path, needs = self.depends[name]
        order += [p for p in [*reversed(needs), path] if p not in order]


def add_modules(cpio, kernel, names, own):
    """Adds `names`, `own` files and all that they need; returns two lists, in order."""
    needed = list(names)
    mine = {module_name(p) for p in own}
    for path in own:
        needed += [n for n in modinfo_depends(module_data(path)) if n not in mine]
    def add(paths):
        targets = []
        for path in paths:
            targets.append(f'/mod/{module_name(path)}.ko')
            cpio.data(targets[-1], module_data(path))
        return targets
    return add(Modules(kernel['modules']).resolve(needed)), add(own)


def add_base(cpio, busybox):
    for d in ('proc', 'sys', 'dev', 'tmp', 'run', 'root', 'tests', 'models', 'usr/bin', 'sbin'):
        cpio.folder(d)
    cpio.device('dev/console', 5, 1)
    cpio.copy(busybox, 'bin/busybox')
    cpio.copy(os.path.join(HERE, 'guest/init'), 'init')
    for tool in os.listdir(os.path.join(HERE, 'guest')):
        if tool != 'init':
            cpio.copy(os.path.join(HERE, 'guest', tool), f'bin/{tool}')
    cpio.data('etc/passwd', b'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n'
                            b'other:x:1001:1001::/tmp:/bin/sh\n')
    cpio.data('etc/group', b'root:x:0:\nrender:x:105:app,other\napp:x:1000:\nother:x:1001:\n')


def image_of_folder(folder, out):
    """A read-only ext2 image of a folder: its files are true page cache in the guest."""
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(folder, followlinks=True)
               for f in fs if os.path.exists(os.path.join(d, f)))
    kib = (size + size // 20) // 1024 + 4096
    subprocess.run(['/sbin/mke2fs', '-q', '-t', 'ext2', '-b', '4096', '-m', '0', '-N', '4096',
                    '-d', folder, out, f'{kib}k'], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def empty_image(size, out):
    """A writable ext4 image, small and without what would be written to it in the background."""
    subprocess.run(['/sbin/mke2fs', '-q', '-t', 'ext4', '-b', '4096', '-m', '0', '-J', 'size=4',
                    '-O', 'verity', '-E', 'lazy_itable_init=0,lazy_journal_init=0', out, size],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


