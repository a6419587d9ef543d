# SPDX-License-Identifier: MIT
"""The llm layer of the shared library, by ctypes: what a binding sees of it."""
import ctypes as c
import os

from e2e import BUILD


class DeviceOpts(c.Structure):
    _fields_ = [('sz', c.c_size_t), ('threads', c.c_uint), ('isa', c.c_char_p)]


class LlmOpts(c.Structure):
    _fields_ = [('sz', c.c_size_t), ('n_ctx', c.c_uint32), ('n_batch', c.c_uint32),
                ('kv_f32', c.c_bool), ('priority', c.c_int), ('kv_type', c.c_int)]


KV_TYPES = {'f16': 1, 'f32': 2, 'q8_0': 3}


class LlmInfo(c.Structure):
    _fields_ = [('sz', c.c_size_t), ('name', c.c_char_p), ('arch', c.c_char_p),
                ('n_vocab', c.c_uint32)]


class ChatMessage(c.Structure):
    _fields_ = [('role', c.c_char_p), ('text', c.c_char_p)]


class ChatOpts(c.Structure):
    _fields_ = [('sz', c.c_size_t), ('template_name', c.c_char_p), ('no_answer', c.c_bool),
                ('no_think', c.c_bool)]


def load():
    lib = c.CDLL(os.path.join(BUILD, 'userspace/libhearth.so'))
    lib.hearth_errmsg.restype = c.c_char_p
    lib.hearth_llm_eval.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p]
    return lib


class Llm:
    """A model on the CPU; feed() gives the logits after the last token."""

    def __init__(self, path, isa=None, kv=None, **opts):
        self.lib = load()
        self.device, self.handle = c.c_void_p(), c.c_void_p()
        d = DeviceOpts(c.sizeof(DeviceOpts), 0, isa.encode() if isa else None)
        self.check(self.lib.hearth_device_open(b'cpu', c.byref(d), c.byref(self.device)))
        o = LlmOpts(c.sizeof(LlmOpts), kv_type=KV_TYPES.get(kv, 0), **opts)
        self.check(self.lib.hearth_llm_open(path.encode(), self.device, c.byref(o), c.byref(self.handle)))
        info = LlmInfo(c.sizeof(LlmInfo))
        self.check(self.lib.hearth_llm_get_info(self.handle, c.byref(info)))
        self.n_vocab = info.n_vocab

    def check(self, ret):
        if ret:
            raise OSError(-ret, self.lib.hearth_errmsg().decode())

    def feed(self, ids):
        logits = c.POINTER(c.c_float)()
        array = (c.c_int32 * len(ids))(*ids)
        self.check(self.lib.hearth_llm_eval(self.handle, array, len(ids), c.byref(logits)))
        return logits[:self.n_vocab]

    def chat(self, messages, template, cap=4096):
        """Tokens of (role, text) pairs."""
        m = (ChatMessage * len(messages))(*((r.encode(), t.encode()) for r, t in messages))
        o = ChatOpts(c.sizeof(ChatOpts), template.encode())
        ids = (c.c_int32 * cap)()
        n = self.lib.hearth_llm_chat_format(self.handle, c.byref(o), m, c.c_size_t(len(messages)), ids,
                                            c.c_size_t(cap))
        self.check(min(n, 0))
        return ids[:n]

    def piece(self, token):
        buf = c.create_string_buffer(256)
        n = self.lib.hearth_llm_detokenize(self.handle, c.c_int32(token), buf, c.c_size_t(256))
        self.check(min(n, 0))
        return buf.raw[:n]

    def shift(self, n_keep, n_drop):
        self.check(self.lib.hearth_llm_shift(self.handle, n_keep, n_drop))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.hearth_llm_close(self.handle)
        self.lib.hearth_device_close(self.device)
