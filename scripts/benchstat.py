# SPDX-License-Identifier: MIT
"""What bench-cpu makes of its measurements: pairs, medians, minima."""
import statistics


def spread(values):
    """{median, min, max, n} of a list that may be empty."""
    if not values:
        return None
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values), 'n': len(values)}


class Pairs:
    """Every measurement of ours beside the peer's of the same round."""

    def __init__(self):
        self.rows = []

    def add(self, where, test, tokens, round_number, ours, theirs, peer):
        """`where`: model, type, threads, idle. Speeds in tokens per second, medians of one process each."""
        self.rows.append({**where, 'test': test, 'tokens': tokens, 'round': round_number, 'peer': peer,
                          'hearth': ours, 'theirs': theirs, 'ratio': ours / theirs})

    def configs(self):
        """One row for each configuration and peer, in the order of their first measurement."""
        groups = {}
        for r in self.rows:
            key = (r['model'], r['type'], r['threads'], r['test'], r['tokens'], r['peer'])
            groups.setdefault(key, []).append(r)
        return [{'model': k[0], 'type': k[1], 'threads': k[2], 'test': k[3], 'tokens': k[4], 'peer': k[5],
                 'hearth': spread([r['hearth'] for r in rows]), 'theirs': spread([r['theirs'] for r in rows]),
                 'ratio': spread([r['ratio'] for r in rows])} for k, rows in groups.items()]


def least(rows, value, **wanted):
    """Smallest value(row) of the rows that have all of `wanted`; None if there is none."""
    found = [value(r) for r in rows if all(r.get(k) == v for k, v in wanted.items())]
    found = [f for f in found if f is not None]
    return min(found) if found else None


def machine_limits(samples):
    """{threads: {dram_gb_per_s, int8_gops, barrier_us, int8_how}} of all that was measured.

    The int8 rate is a limit, so the best that was seen counts."""
    limits = {}
    for threads in sorted({s['threads'] for s in samples}):
        mine = [s for s in samples if s['threads'] == threads]
        limits[threads] = {'dram_gb_per_s': statistics.median(s['dram_gb_per_s'] for s in mine),
                           'dram_gb_per_s_spread': spread([s['dram_gb_per_s'] for s in mine]),
                           'int8_gops': max(s['int8_gops'] for s in mine),
                           'int8_how': mine[0]['int8_how'],
                           'barrier_us': statistics.median(s['barrier_us'] for s in mine)}
    return limits


def fractions(own, limits):
    """Adds, to our own measurements, how much of the machine's limits they reach."""
    rows = {}
    for o in own:
        key = (o['model'], o['type'], o['threads'], o['test'], o['tokens'])
        rows.setdefault(key, []).append(o)
    out = []
    for key, found in rows.items():
        limit = limits[key[2]]
        gops = statistics.median(o['gops'] for o in found)
        row = {'model': key[0], 'type': key[1], 'threads': key[2], 'test': key[3], 'tokens': key[4],
               'tokens_per_s': spread([o['tokens_per_s'] for o in found]), 'gops': gops,
               'of_int8_peak': gops / limit['int8_gops']}
        if key[3] == 'decode':
            # The memory's speed changes with its other users: each process has measured it meanwhile.
            parts = spread([o['of_dram'] for o in found])
            row['gb_per_s'] = statistics.median(o['gb_per_s'] for o in found)
            row['of_dram'], row['of_dram_spread'] = parts['median'], parts
            # And a file's pages are not the fastest there are: what reading them alone gives.
            parts = spread([o['of_file'] for o in found if 'of_file' in o])
            if parts:
                row['of_file'], row['of_file_spread'] = parts['median'], parts
        out.append(row)
    return out


def gemm_configs(rows):
    """Our products beside those of each peer, by the pairs of each round."""
    def key(r):
        return tuple(r[k] for k in ('bits', 'rows', 'in', 'out', 'threads', 'round'))
    ours = {key(r): r['gops'] for r in rows if r['engine'] == 'hearth'}
    groups = {}
    for r in rows:
        if r['engine'] != 'hearth' and key(r) in ours:
            groups.setdefault((r['engine'], *key(r)[:-1]), []).append((ours[key(r)], r['gops']))
    return [{'peer': k[0], 'bits': k[1], 'rows': k[2], 'in': k[3], 'out': k[4], 'threads': k[5],
             'hearth': statistics.median(o for o, _ in found), 'theirs': statistics.median(t for _, t in found),
             'ratio': spread([o / t for o, t in found])} for k, found in groups.items()]


def minima(result):
    """The figures that a reader looks for first; None where nothing was measured."""
    big = [c for c in result['configs'] if c['size'] == 'big' and c['peer'].startswith('llama.cpp')]
    small = [c for c in result['configs'] if c['size'] == 'small']
    reach = [f for f in result['fractions'] if f['size'] == 'big']

    def ratio(c):
        return c['ratio']['median']

    first = result.get('first_token')
    return {
        'prefill_vs_llamacpp_min': least(big, ratio, test='prefill'),
        'prefill_peak_fraction_min': least(reach, lambda f: f['of_int8_peak'], test='prefill'),
        'decode_vs_llamacpp_t1_min': least(big, ratio, test='decode', threads=1),
        'decode_bandwidth_fraction_t2_min': least(reach, lambda f: f.get('of_dram'), test='decode', threads=2),
        'decode_file_reads_fraction_t2_min': least(reach, lambda f: f.get('of_file'), test='decode', threads=2),
        'small_model_vs_llamacpp_min': least(small, ratio),
        'small_model_decode_vs_llamacpp_min': least(small, ratio, test='decode'),
        'first_token_vs_llamacpp': first['ratio']['median'] if first else None,
    }
