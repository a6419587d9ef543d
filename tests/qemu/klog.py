# SPDX-License-Identifier: MIT
"""Reads a guest's kernel log for signs of damage.

A test that provokes a line on purpose says so in its output, before or after:
    # expect-log: REGEX
Then lines that match REGEX are pardoned, and their absence is a fault.
"""
import re

# One list for all runs. Each row: what it is, the pattern, a line it must catch.
SIGNS = [
    ('warning', r'WARNING: (CPU|possible|inconsistent|suspicious|bad|locking|held)',
     'WARNING: CPU: 0 PID: 71 at drivers/gpu/drm/drm_gem.c:122 drm_gem_object_release'),
    ('circular lock', r'possible (circular|recursive) locking',
     'WARNING: possible circular locking dependency detected'),
    ('lock order', r'\bINFO: .*(lock.* detected|trying to register non-static key)',
     'INFO: trying to register non-static key.'),
    ('lock held', r'BUG: .*(lock held|still has locks held)|DEBUG_LOCKS_WARN_ON',
     'DEBUG_LOCKS_WARN_ON(lock->magic != lock)'),
    ('bug', r'\bBUG\b[: ]|kernel BUG at', 'BUG: sleeping function called from invalid context'),
    ('oops', r'\bOops\b|general protection fault|Unable to handle kernel',
     'Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI'),
    ('panic', r'Kernel panic|end Kernel panic', 'Kernel panic - not syncing: Attempted to kill init!'),
    ('kasan', r'\bKASAN\b: ', 'BUG: KASAN: slab-use-after-free in hearth_job_free+0x1a/0x30'),
    ('kfence', r'\bKFENCE\b: .* in ', 'BUG: KFENCE: out-of-bounds read in test+0x1/0x2'),
    ('ubsan', r'\bUBSAN: ', 'UBSAN: array-index-out-of-bounds in hearth_ring.c:88:3'),
    ('memory leak', r'kmemleak: \d+ new suspected', 'kmemleak: 2 new suspected memory leaks'),
    # A page fault without memory "leaks" out and is tried again: no_memory has some fail.
    ('leak', r'(?<!VM_FAULT_OOM )\bleak(ed|s|ing)?\b(?!.*(mitigat|not affected|spectre))',
     '[drm] DRM: hearth leaked 2 GEM objects'),
    ('refcount', r'\brefcount_t?\b', 'refcount_t: underflow; use-after-free.'),
    ('debug objects', r'ODEBUG: ', 'ODEBUG: free active (active state 0) object: ffff888 timer_list'),
    ('hung task', r'blocked for more than|hung_task|hung task',
     'INFO: task kworker/u8:2:41 blocked for more than 120 seconds.'),
    ('lockup', r'soft lockup|hard LOCKUP|workqueue lockup|rcu.*(stall|detected stalls)',
     'watchdog: BUG: soft lockup - CPU#1 stuck for 26s!'),
    ('dma debug', r'DMA-API: .*(device driver|leak|not.*freed|overlap|cpu touching)',
     'DMA-API: hearth 0000:01:00.0: device driver frees DMA memory with wrong function'),
    ('list', r'list_(add|del) corruption', 'list_del corruption. prev->next should be ffff'),
    ('bad page', r'Bad page (state|map)|page allocation failure',
     'hearth: page allocation failure: order:4, mode:0x40cc0'),
    ('irq', r'nobody cared|do_IRQ: .*No irq handler', 'irq 24: nobody cared (try booting with irqpoll)'),
    ('segfault', r'segfault at|traps: .* trap', 'bo[81]: segfault at 0 ip 00005555 sp 00007ffd error 4'),
    ('module', r'Unknown symbol|disagrees about version of symbol|module verification.*error',
     'hearth: Unknown symbol drm_sched_init (err -2)'),
    ('call trace', r'^\W*(\[.*\] )?Call Trace:', '[   12.1] Call Trace:'),
]
_COMPILED = [(name, re.compile(pattern)) for name, pattern, _ in SIGNS]
# Lines of a healthy boot that a pattern would catch.
HEALTHY = [
    'mem auto-init: stack:all(zero), heap alloc:on, heap free:off',
    'Spectre V2 : Mitigation: Retpolines; data leak is mitigated',
    'Huh VM_FAULT_OOM leaked out to the #PF handler. Retrying PF',
    'rcu: \tRCU debug extended QS entry/exit.',
    'debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers',
    'hearth: loading out-of-tree module taints kernel.',
    'hearth: module verification failed: signature and/or required key missing - tainting kernel',
    'Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar',
    'rcu: RCU restricting CPUs from NR_CPUS=8192 to nr_cpu_ids=2.',
]


def suspects(lines):
    """(sign, line) of every line that tells of damage."""
    found = []
    for line in lines:
        for name, pattern in _COMPILED:
            if pattern.search(line):
                found.append((name, line.rstrip()))
                break
    return found


def expectations(output_lines):
    """The patterns that the tests declared in their output."""
    found = (re.search(r'#\s*expect-log:\s*(.+)', line) for line in output_lines)
    return [m[1].strip() for m in found if m]


def judge(log_lines, expected):
    """Complaints about a log, given the patterns that must and may occur in it."""
    complaints = []
    patterns = []
    for text in expected:
        try:
            patterns.append(re.compile(text))
        except re.error as e:
            complaints.append(f'expect-log: "{text}" is no regular expression: {e}')
    for p in patterns:
        if not any(p.search(line) for line in log_lines):
            complaints.append(f'expected in the kernel log, but not there: {p.pattern}')
    pardoned = (line for line in log_lines if not any(p.search(line) for p in patterns))
    complaints += [f'{name}: {line}' for name, line in suspects(pardoned)]
    return complaints


def self_test():
    """Problems of the scanner itself; an empty list when it is sound."""
    problems = []
    for name, pattern, sample in SIGNS:
        if not re.search(pattern, sample):
            problems.append(f'sign "{name}" does not match its own sample: {sample}')
        if not judge(['ok', sample], []):
            problems.append(f'sample of "{name}" passed as clean: {sample}')
        if judge([sample], [re.escape(sample)]):
            problems.append(f'sample of "{name}" was not pardoned by its expect-log')
    problems += [f'healthy line taken for damage: {line}' for _, line in suspects(HEALTHY)]
    if not judge(HEALTHY, ['never printed']):
        problems.append('an expected line that is absent was not missed')
    if not judge([], ['(']):
        problems.append('a broken expect-log was accepted')
    if expectations(['ok 1', '# expect-log: a.*b ']) != ['a.*b']:
        problems.append('expect-log was not read from the output')
    return problems
