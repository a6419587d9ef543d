# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: TAP, the models, the tool on host and guest."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get('HEARTH_BUILD') or os.path.join(TOP, 'build')
KERNEL = os.environ.get('HEARTH_KERNEL') or '6.12-amd64'
MODELS = os.environ.get('HEARTH_MODELS') or os.path.join(TOP, '../shared/models')
TOOL = os.path.join(BUILD, 'hearth')
PROMPTS = os.path.join(MODELS, 'llm-gguf/prompts.txt')


class Tap:
    """Counts and prints; the plan comes at the end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, why=''):
        self.count += 1
        print(f'{"ok" if good else "not ok"} {self.count} {name}')
        if not good:
            self.failed += 1
            for line in str(why).splitlines()[:8]:
                print(f'# {line}')
        sys.stdout.flush()

    def equal(self, got, want, name):
        self.ok(got == want, name, f'got {got!r}\nwanted {want!r}')

    def end(self):
        print(f'1..{self.count}')
        return 1 if self.failed else 0


def need_models():
    if not os.path.isdir(MODELS):
        print(f'1..0 # SKIP no models at {MODELS}; set HEARTH_MODELS')
        sys.exit(0)


def model(path):
    return os.path.join(MODELS, path)


def run(args, timeout=1200, env=None):
    """(status, stdout, stderr) of the tool on this host's CPU."""
    p = subprocess.run([TOOL, *args], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=timeout, check=False, env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout, p.stderr.decode(errors='replace')


def digest(text):
    found = re.findall(r'^digest:\s+([0-9a-f]{64})\s*$', text, re.M)
    return found[-1] if found else None


def guest(script, name, args=(), timeout=900):
    """(status, output) of a shell script in a guest with the NPU, tool and models."""
    folder = os.path.join(BUILD, 'check/e2e', name)
    os.makedirs(folder, exist_ok=True)
    command = [os.path.join(TOP, 'tests/qemu/vm'), '--build', BUILD, '--kernel', KERNEL,
               '--logs', folder, '--timeout', str(timeout), '--tools', '--share',
               f'{MODELS}:/models', *args, '--', 'sh', '-c', script]
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False, timeout=timeout + 60)
    return p.returncode, p.stdout.decode(errors='replace').replace('\r\n', '\n')
