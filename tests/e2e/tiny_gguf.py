# SPDX-License-Identifier: MIT
"""Tiny models of each architecture, with weights from a generator: nothing in
them is trained, but every tensor and key of the family is there, so that two
engines can be held against each other."""
import array
import math
import random
import struct

U32, F32, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5

VOCAB = 320
CONTEXT = 512


def text(s):
    b = s.encode()
    return struct.pack('<Q', len(b)) + b


def value(kind, v):
    if kind == STR:
        return text(v)
    if kind == ARR:
        inner, items = v
        return struct.pack('<IQ', inner, len(items)) + b''.join(value(inner, x) for x in items)
    return struct.pack({U32: '<I', I32: '<i', F32: '<f', BOOL: '<?'}[kind], v)


def vocabulary():
    """A SentencePiece vocabulary of words: no token is half a character."""
    pieces = ['<unk>', '<s>', '</s>']
    words = [f'\u2581w{i}' for i in range(VOCAB - len(pieces))]
    kinds = [2, 3, 3] + [1] * len(words)
    return [('tokenizer.ggml.model', STR, 'llama'),
            ('tokenizer.ggml.tokens', ARR, (STR, pieces + words)),
            ('tokenizer.ggml.scores', ARR, (F32, [-float(i) for i in range(VOCAB)])),
            ('tokenizer.ggml.token_type', ARR, (I32, kinds)),
            ('tokenizer.ggml.bos_token_id', U32, 1),
            ('tokenizer.ggml.eos_token_id', U32, 2)]


class Model:
    """Shape of a model; what differs from llama is said by the families below."""

    def __init__(self, arch, seed, **differs):
        self.arch, self.random = arch, random.Random(seed)
        self.embd, self.ff, self.layers, self.heads, self.kv_heads = 64, 96, 3, 4, 2
        self.head_dim = self.embd // self.heads
        self.base, self.eps, self.gain = 10000.0, 1e-5, 1.5
        self.bias, self.qk_norm, self.fused, self.post_norm, self.tied = False, False, False, False, False
        self.keys, self.extra = [], []
        self.n_rot = None
        for k, v in differs.items():
            setattr(self, k, v)
        self.n_rot = self.n_rot or self.head_dim
        self.tensors = []

    def key(self, name, kind, v):
        return f'{self.arch}.{name}', kind, v

    def metadata(self):
        return [('general.architecture', STR, self.arch), ('general.name', STR, 'tiny'),
                self.key('context_length', U32, CONTEXT), self.key('embedding_length', U32, self.embd),
                self.key('feed_forward_length', U32, self.ff), self.key('block_count', U32, self.layers),
                self.key('attention.head_count', U32, self.heads),
                self.key('attention.head_count_kv', U32, self.kv_heads),
                self.key('attention.key_length', U32, self.head_dim),
                self.key('attention.value_length', U32, self.head_dim),
                self.key('attention.layer_norm_rms_epsilon', F32, self.eps),
                self.key('rope.freq_base', F32, self.base), self.key('rope.dimension_count', U32, self.n_rot),
                *[self.key(*k) for k in self.keys], *vocabulary()]

    def matrix(self, name, rows, cols, gain=1.0):
        size = gain * math.sqrt(3.0 / cols)
        self.tensors.append((name, (cols, rows), [self.random.uniform(-size, size) for _ in range(rows * cols)]))

    def vector(self, name, n, middle=1.0, spread=0.3):
        self.tensors.append((name, (n,), [middle + self.random.uniform(-spread, spread) for _ in range(n)]))

    def projection(self, name, rows, cols, bias=False):
        self.matrix(f'{name}.weight', rows, cols, self.gain)
        if bias:
            self.vector(f'{name}.bias', rows, 0.0, 0.5)

    def attention(self, p):
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        if self.fused:
            self.projection(f'{p}.attn_qkv', q + 2 * kv, self.embd)
        else:
            for name, rows in (('q', q), ('k', kv), ('v', kv)):
                self.projection(f'{p}.attn_{name}', rows, self.embd, self.bias)
        if self.qk_norm:
            self.vector(f'{p}.attn_q_norm.weight', self.head_dim)
            self.vector(f'{p}.attn_k_norm.weight', self.head_dim)
        self.projection(f'{p}.attn_output', self.embd, q)

    def feed_forward(self, p):
        if self.fused:
            self.matrix(f'{p}.ffn_up.weight', 2 * self.ff, self.embd)
        else:
            self.matrix(f'{p}.ffn_gate.weight', self.ff, self.embd)
            self.matrix(f'{p}.ffn_up.weight', self.ff, self.embd)
        self.matrix(f'{p}.ffn_down.weight', self.embd, self.ff)

    def block(self, i):
        p = f'blk.{i}'
        self.vector(f'{p}.attn_norm.weight', self.embd)
        self.attention(p)
        self.vector(f'{p}.ffn_norm.weight', self.embd)
        self.feed_forward(p)
        if self.post_norm:
            # gains against which the embeddings, which are large, do not count alone
            self.vector(f'{p}.post_attention_norm.weight', self.embd, 6.0)
            self.vector(f'{p}.post_ffw_norm.weight', self.embd, 6.0)

    def fill(self):
        self.matrix('token_embd.weight', VOCAB, self.embd, 1.0 if self.tied else 4.0)
        self.vector('output_norm.weight', self.embd)
        if not self.tied:
            self.matrix('output.weight', VOCAB, self.embd, 3.0)
        for name, values in self.extra:
            self.tensors.append((name, (len(values),), values))
        for i in range(self.layers):
            self.block(i)

    def write(self, path):
        self.fill()
        keys = self.metadata()
        out = [b'GGUF', struct.pack('<IQQ', 3, len(self.tensors), len(keys))]
        out += [text(k) + struct.pack('<I', kind) + value(kind, v) for k, kind, v in keys]
        at = 0
        for name, dims, values in self.tensors:
            out.append(text(name) + struct.pack(f'<I{len(dims)}QIQ', len(dims), *dims, 0, at))
            at += (len(values) * 4 + 31) // 32 * 32
        head = b''.join(out)
        with open(path, 'wb') as f:
            f.write(head + bytes(-len(head) % 32))
            for _, _, values in self.tensors:
                data = array.array('f', values).tobytes()
                f.write(data + bytes(-len(data) % 32))


def llama3_factors(n_rot):
    """Low frequencies are divided by 8, high ones are not, as in Llama 3.1."""
    n = n_rot // 2
    return [1.0 + 7.0 * max(0.0, min(1.0, (i - n / 4) / (n / 2))) for i in range(n)]


GEMMA = {'post_norm': True, 'tied': True, 'head_dim': 32, 'eps': 1e-6}
PHI3_FACTORS = [('rope_factors_long.weight', [1.0 + 0.7 * i for i in range(8)]),
                ('rope_factors_short.weight', [1.0 + 0.05 * i for i in range(8)])]

# name of the case: model, tokens to look at. The windows are shorter than that.
MODELS = {
    'llama': lambda: Model('llama', 1),
    'llama-3': lambda: Model('llama', 2, base=500000.0, tied=True,
                             extra=[('rope_freqs.weight', llama3_factors(16))]),
    'llama-linear': lambda: Model('llama', 3, keys=[('rope.scaling.type', STR, 'linear'),
                                                    ('rope.scaling.factor', F32, 4.0)]),
    'baichuan': lambda: Model('baichuan', 4, layers=32, embd=32, ff=48, heads=2, kv_heads=2, gain=2.0),
    'qwen2': lambda: Model('qwen2', 5, bias=True, base=1000000.0, eps=1e-6),
    'qwen3': lambda: Model('qwen3', 6, qk_norm=True, head_dim=32, gain=3.0, base=1000000.0, eps=1e-6, tied=True),
    'phi3': lambda: Model('phi3', 7, fused=True, kv_heads=4, n_rot=12),
    'phi3-short': lambda: Model('phi3', 8, fused=True, extra=PHI3_FACTORS,
                                keys=[('rope.scaling.original_context_length', U32, 256),
                                      ('rope.scaling.attn_factor', F32, 1.19)]),
    'phi3-long': lambda: Model('phi3', 9, fused=True, extra=PHI3_FACTORS,
                               keys=[('rope.scaling.original_context_length', U32, 64),
                                     ('rope.scaling.attn_factor', F32, 1.19)]),
    'gemma2': lambda: Model('gemma2', 12, **GEMMA, layers=4,
                            keys=[('attention.sliding_window', U32, 16),
                                  ('attn_logit_softcapping', F32, 5.0),
                                  ('final_logit_softcapping', F32, 3.0)]),
    'gemma3': lambda: Model('gemma3', 11, **GEMMA, qk_norm=True, layers=7, base=1000000.0,
                            keys=[('attention.sliding_window', U32, 16),
                                  ('rope.scaling.type', STR, 'linear'),
                                  ('rope.scaling.factor', F32, 8.0)]),
}
