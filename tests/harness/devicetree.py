# SPDX-License-Identifier: MIT
"""The binding: its schema is sound, and its example is what it says. What
`make dt_binding_check` of a kernel tree does, without that tree."""
import os
import re

from tap import FAIL, PASS, Result
import testbed

BINDINGS = 'Documentation/devicetree/bindings'
BINDING = f'{BINDINGS}/npu/hearth,npu.yaml'
# As in the kernel's scripts/Makefile.lib; the last, as dtc before 1.6.2 asks an interrupt
# controller, that of dt-extract-example as well, for #address-cells.
DTC = ['dtc', '-Wno-avoid_unnecessary_addr_size', '-Wno-graph_child_address', '-Wno-interrupt_provider',
       '-I', 'dts', '-O', 'dtb']
# What breaks the example, so that it must be refused: text, what is there instead.
WRONG = [('"event", "state"', '"event", "power"'), ('"hearth,npu"', '"hearth,npu", "other"'),
         ('memory-region-names', 'memory-regions')]


def quiet(ctx, name, command, log):
    """One result: it succeeds and has nothing to say, in any way."""
    return ctx.step(name, command, f'style/{log}.log', bad=r'\S')


def schema_tool(name):
    """dt-schema out of the cache, on its own Python and nobody else's modules."""
    part = testbed.part('dt-schema')
    return [part['run'], 'python3', '-I', os.path.join(part['path'], 'usr/bin', name)]


def includes(kernel):
    """include/ of the headers, of which Debian has the common part beside the architecture's."""
    with open(os.path.join(kernel['headers'], 'Makefile'), encoding='utf-8') as f:
        common = re.search(r'(/\S*linux-headers-\S*-common)', f.read())
    return os.path.join(common[1] if common else kernel['headers'], 'include')


def example(ctx, folder):
    """The compiled example and what came of it; the source is beside it."""
    source, dtb = os.path.join(folder, 'example.dts'), os.path.join(folder, 'example.dtb')
    script = ('include=$1 out=$2; shift 2; '
              '"$@" | cpp -P -nostdinc -undef -x assembler-with-cpp -I "$include" -o "$out" -')
    results = [ctx.step('example of the binding is extracted',
                        ['sh', '-c', script, 'sh', includes(testbed.part(ctx.kernel)), source,
                         *schema_tool('dt-extract-example'), BINDING], 'style/example.log')]
    results.append(quiet(ctx, 'example of the binding compiles', [*DTC, '-o', dtb, source], 'dtc'))
    return source, dtb, results


def refused(ctx, source, right, wrong):
    """The schema sees what is wrong in it."""
    bad = f'{source}.bad'
    with open(source, encoding='utf-8') as f:
        text = f.read()
    with open(bad, 'w', encoding='utf-8') as f:
        f.write(text.replace(right, wrong))
    testbed.run([*DTC, '-q', '-o', f'{bad}.dtb', bad])
    _, lines = ctx.run([*schema_tool('dt-validate'), '-s', BINDINGS, f'{bad}.dtb'], 'style/dt-refused.log')
    said = lines + ctx.tail('style/dt-refused.log')
    good = text.count(right) == 1 and any('hearth,npu.yaml' in line for line in said)
    return Result(f'binding refuses {wrong}', PASS if good else FAIL, ' | '.join(said[:3]))


def check(ctx):
    testbed.ensure(['dt-schema'], quiet=True)
    folder = ctx.log('style/binding/.')
    os.makedirs(folder, exist_ok=True)
    results = [quiet(ctx, 'schema of the binding', [*schema_tool('dt-doc-validate'), '-u', BINDINGS, BINDING],
                     'dt-doc')]
    source, dtb, made = example(ctx, folder)
    results += made
    if any(r.outcome == FAIL for r in results):
        return results
    results.append(quiet(ctx, 'example fits the binding', [*schema_tool('dt-validate'), '-s', BINDINGS, dtb],
                         'dt-validate'))
    return results + [refused(ctx, source, *w) for w in WRONG]
