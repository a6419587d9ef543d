/* SPDX-License-Identifier: MIT */
/*
 * The llm layer: open a GGUF file, feed tokens, stream text.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_LLM_H
#define HEARTH_LLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hearth/admit.h>
#include <hearth/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hearth_llm;

/** enum hearth_kv_type - how keys and values are kept */
enum hearth_kv_type {
	/** DEFAULT: F16. */
	HEARTH_KV_DEFAULT = 0,
	HEARTH_KV_F16,
	HEARTH_KV_F32,
	/** Q8_0: 8.5 bits per value; heads must be a multiple of 32. */
	HEARTH_KV_Q8_0,
};

struct hearth_llm_opts {
	size_t sz;
	/** n_ctx: Positions of the KV cache; 0 = the model's, at most 4096. */
	uint32_t n_ctx;
	/**
	 * n_batch: Tokens of the largest step of a prefill; 0 = 256. There is
	 * a step for a quarter of it, a quarter of that, and so on.
	 */
	uint32_t n_batch;
	/** kv_f32: HEARTH_KV_F32, unless @kv_type says something else. */
	bool kv_f32;
	enum hearth_priority priority;
	enum hearth_kv_type kv_type;
	/** model: As in struct hearth_compile_opts. */
	const struct hearth_model_opts *model;
	/** no_admit: Open it also if hearth_admit() says that it does not fit. */
	bool no_admit;
	/** admit_wait_ns: Longest wait for others to make room; 0 = none. */
	uint64_t admit_wait_ns;
	/**
	 * kv_step: Positions by which the KV cache grows as tokens are fed: a power
	 * of two, at least 16 and a 64th of @n_ctx; with @n_ctx or more all of it is
	 * there at once. 0 = the least from 128 on with which a step is 2 MiB.
	 */
	uint32_t kv_step;
	size_t :0;
};

/**
 * hearth_llm_demand() - what hearth_llm_open() with these options would take
 * @demand: Filled; its weights_fd is given only if @file_fd is.
 * @file_fd: Returned if not NULL: the model's file, the caller's to close.
 *
 * For hearth_admit(): as it is, whether the whole context fits; with its
 * state_bytes set to its state_first_bytes, whether the model can be opened. Reads
 * the file's header alone. Errors as hearth_llm_open().
 */
HEARTH_API int hearth_llm_demand(const char *path, struct hearth_device *dev,
				 const struct hearth_llm_opts *opts,
				 struct hearth_demand *demand, int *file_fd);

/**
 * hearth_llm_open() - open a GGUF file on a device
 *
 * On an NPU hearth_admit() is asked before: what does not fit, with the first step
 * of the KV cache, is refused in its words, with -EDQUOT if it never will and -EBUSY
 * if not now. Later steps come as tokens are fed; a reservation of all state_bytes
 * of the demand makes sure of them.
 *
 * Errors: -EINVAL broken file, -EOPNOTSUPP an architecture, tokenizer or type
 * that Hearth lacks (the message has the list), -ENOMEM, and what
 * hearth_model_open() gives.
 */
HEARTH_API int hearth_llm_open(const char *path, struct hearth_device *dev,
			       const struct hearth_llm_opts *opts,
			       struct hearth_llm **llm);
HEARTH_API void hearth_llm_close(struct hearth_llm *llm);

struct hearth_llm_info {
	size_t sz;
	const char *name;
	const char *arch;
	uint32_t n_vocab, n_ctx, n_ctx_model, n_layer, n_embd;
	int32_t bos, eos;
	uint64_t weights_bytes, state_bytes, activation_bytes;
	/** kv_type: Of the cache, "f16", "f32" or "q8_0". */
	const char *kv_type;
	uint32_t n_head, n_head_kv, head_dim, n_ff;
	/** window: Positions that layers with a window see; 0: none has one. */
	uint32_t window;
	/** kv_step: Positions by which the KV cache grows; 0: it is there at once. */
	uint32_t kv_step;
	/** state_used_bytes: What of state_bytes there is memory for at present. */
	uint64_t state_used_bytes;
	/**
	 * activation_used_bytes: The same of activation_bytes: a step of many tokens is
	 * compiled when it is first taken.
	 */
	uint64_t activation_used_bytes;
	size_t :0;
};

HEARTH_API int hearth_llm_get_info(const struct hearth_llm *llm,
				   struct hearth_llm_info *info);

/** hearth_llm_model() - its weights and KV cache as a model; borrowed */
HEARTH_API struct hearth_model *hearth_llm_model(struct hearth_llm *llm);

/** hearth_llm_program() - the program of one decode step; for explain */
HEARTH_API struct hearth_program *hearth_llm_program(struct hearth_llm *llm);

/**
 * hearth_llm_tokenize() - text to tokens; none of it becomes a control token
 * @ids: Room for @cap tokens, may be NULL if @cap is 0.
 *
 * Returns the number of tokens, also if it exceeds @cap, or a negative errno.
 */
HEARTH_API int hearth_llm_tokenize(const struct hearth_llm *llm, const char *text,
				   size_t len, bool add_bos, int32_t *ids,
				   size_t cap);

/**
 * hearth_llm_detokenize() - bytes of one token, not terminated
 *
 * Returns the number of bytes, also if it exceeds @cap.
 */
HEARTH_API int hearth_llm_detokenize(const struct hearth_llm *llm, int32_t id,
				     char *buf, size_t cap);

/**
 * hearth_llm_eval() - feed tokens after those fed so far
 * @logits: If not NULL, gets a pointer to n_vocab f32 values of the last
 *	token, valid until the next call.
 *
 * The KV cache grows for all @n tokens before the first is fed. If that is refused
 * nothing was fed, and what was fed before, its logits too, is as it was: the same
 * call can succeed later. The first call with so many tokens compiles a step for
 * them; if there is no memory for that, steps of fewer do it.
 *
 * Errors: -ENOSPC the context is full, -EDQUOT or -ENOMEM the cache cannot grow,
 * else as hearth_queue_wait().
 */
HEARTH_API int hearth_llm_eval(struct hearth_llm *llm, const int32_t *ids,
			       size_t n, const float **logits);

/** HEARTH_EVAL_EACH - tokens of a step of hearth_llm_eval_each(), at most */
#define HEARTH_EVAL_EACH	64

/**
 * hearth_llm_eval_each() - feed tokens and see what each of them expects next
 * @fn: Called after each token, in order, with its n_vocab logits, valid
 *	during the call. A return other than 0 ends the call and is returned;
 *	up to HEARTH_EVAL_EACH tokens behind that one were fed.
 *
 * For scoring a text. The first call compiles a step of its own and allocates
 * HEARTH_EVAL_EACH * n_vocab f32 values. Errors: as hearth_llm_eval(), -ENOMEM.
 */
HEARTH_API int hearth_llm_eval_each(struct hearth_llm *llm, const int32_t *ids,
				    size_t n,
				    int (*fn)(const float *logits, void *arg),
				    void *arg);

/**
 * hearth_llm_prefill() - make @ids, and nothing else, what was fed
 * @ids: The whole text: all turns of a chat so far, for instance.
 * @reused: If not NULL, gets the number of tokens at the start that were in
 *	the cache already and were not computed again.
 * @logits: As hearth_llm_eval().
 *
 * Keeps the tokens that @ids and what was fed before have in common at the
 * start, forgets the others, and feeds what is left. The result has the bits
 * that feeding all of @ids from the start gives. At least the last token is
 * fed, unless @ids is exactly what was fed last.
 *
 * Errors: as hearth_llm_eval(); what was common stays fed, and if the cache cannot
 * grow, all that was fed before.
 */
HEARTH_API int hearth_llm_prefill(struct hearth_llm *llm, const int32_t *ids,
				  size_t n, size_t *reused,
				  const float **logits);

/**
 * hearth_llm_idle() - nothing will be fed for a while
 *
 * Under pressure the KV cache may be discarded rather than swapped: its tokens
 * are known, and the next call that feeds computes it again, with the same bits.
 * That takes as long as feeding them did. A context that was shifted is kept:
 * it could not be computed again. Steps of the cache beyond what was fed are given
 * back at once. Any call ends the idle time.
 */
HEARTH_API int hearth_llm_idle(struct hearth_llm *llm);

/** hearth_llm_position() - tokens fed so far */
HEARTH_API uint32_t hearth_llm_position(const struct hearth_llm *llm);

/** hearth_llm_rewind() - forget all tokens from @position on */
HEARTH_API int hearth_llm_rewind(struct hearth_llm *llm, uint32_t position);

/**
 * hearth_llm_shift() - forget tokens in the middle, to make room in the context
 * @n_keep: Tokens at the start that stay where they are.
 * @n_drop: Tokens behind them that are forgotten.
 *
 * The tokens behind those move to lower positions: their keys are turned back,
 * not computed again, so they still carry what they saw of the dropped ones.
 * The same bits on every device; not those of a context that never had the
 * dropped tokens. hearth_llm_prefill() takes no more than the first @n_keep
 * tokens as fed from then on. Logits of the last token stay valid.
 *
 * The first call compiles a program and may fail with -ENOMEM.
 *
 * Errors: -EINVAL fewer than @n_keep + @n_drop tokens were fed, else as
 * hearth_queue_wait(); after one of those nothing counts as fed any more.
 */
HEARTH_API int hearth_llm_shift(struct hearth_llm *llm, uint32_t n_keep,
				uint32_t n_drop);

/** enum hearth_llm_end - why a stream ends with this token */
enum hearth_llm_end {
	/** It does not. */
	HEARTH_LLM_GOES_ON = 0,
	/** The model ended its text: the token is its end token, and no text. */
	HEARTH_LLM_END_TOKEN,
	/** A stop string: it and what follows is not told. */
	HEARTH_LLM_END_STOP,
	/** max_tokens, or the context is full and must not shift. */
	HEARTH_LLM_END_LENGTH,
};

/** struct hearth_llm_token - what generate tells of each token */
struct hearth_llm_token {
	int32_t id;
	/**
	 * text: Whole UTF-8 characters that it completed; may be empty. Bytes
	 * that are no UTF-8 are U+FFFD each. Not terminated.
	 */
	const char *text;
	size_t text_bytes;
	/** logits: n_vocab values that it was chosen from. */
	const float *logits;
	/** end: Other than HEARTH_LLM_GOES_ON: this is the last call. */
	enum hearth_llm_end end;
};

#define HEARTH_MAX_REPEAT_WINDOW	65536u

struct hearth_generate_opts {
	size_t sz;
	/** max_tokens: 0 = until the context is full. */
	uint32_t max_tokens;
	/**
	 * temperature: 0 = greedy; of equal logits the lowest id. Applied
	 * first, then top_k, min_p, top_p.
	 */
	float temperature;
	/** top_k: 0 = all. top_p, min_p: 0 = off. */
	uint32_t top_k;
	float top_p, min_p;
	uint64_t seed;
	/** ignore_eos: Go on after an end token. */
	bool ignore_eos;
	/**
	 * stop: n_stop strings (up to 16, of 1 to 1024 bytes of UTF-8). The
	 * text ends before the first that occurs, also across tokens; text
	 * that may become one is held back until that is known.
	 */
	const char *const *stop;
	unsigned int n_stop;
	/**
	 * repeat_penalty: Logits of the stream's last repeat_window tokens
	 * (0 = 64) are divided by it if positive, else multiplied; 0, 1 = off.
	 */
	float repeat_penalty;
	uint32_t repeat_window;
	/**
	 * shift: When the context is full, forget half of what is behind the
	 * first @n_keep tokens, as hearth_llm_shift() does, and go on.
	 * max_tokens must be given.
	 */
	bool shift;
	uint32_t n_keep;
	size_t :0;
};

/**
 * hearth_llm_generate() - stream tokens after what was fed
 * @fn: Called per token; a return other than 0 ends the stream and is
 *	returned.
 *
 * Something must have been fed. The last token that @fn sees is not fed to
 * the model: feed it first to go on. Same seed, same text, on every device.
 *
 * Errors: -EINVAL nothing was fed, or an option that cannot be; -ENOMEM; else
 * as hearth_llm_eval().
 */
HEARTH_API int hearth_llm_generate(struct hearth_llm *llm,
				   const struct hearth_generate_opts *opts,
				   int (*fn)(const struct hearth_llm_token *t,
					     void *arg),
				   void *arg);

/** struct hearth_chat_message - one turn of a conversation */
struct hearth_chat_message {
	/** role: "system" (the first one only), "user" or "assistant". */
	const char *role;
	/** text: Not trusted: nothing in it becomes a control token. */
	const char *text;
};

struct hearth_chat_opts {
	size_t sz;
	/** template_name: NULL = the model's own. */
	const char *template_name;
	/** no_answer: Do not end with what makes the model answer. */
	bool no_answer;
	/** no_think: qwen3, deepseek: begin the answer behind an empty thought. */
	bool no_think;
	size_t :0;
};

/** hearth_chat_template_name() - the i-th template that is known, or NULL */
HEARTH_API const char *hearth_chat_template_name(unsigned int i);

/**
 * hearth_llm_chat_template() - which known template the model's own one is
 *
 * Found by the marks that its text holds: the text is a program, and it is not
 * run. Returns a static string, or NULL if it is not known or not there;
 * hearth_errmsg() tells which, and lists the known ones.
 */
HEARTH_API const char *hearth_llm_chat_template(const struct hearth_llm *llm);

/**
 * hearth_llm_chat_format() - a conversation as the tokens to feed
 * @messages: @n of them, the oldest first.
 * @ids: Room for @cap tokens, may be NULL if @cap is 0.
 *
 * Feed them at position 0. Only the template makes control tokens; what looks
 * like one in a message stays text. (Some templates mark turns by plain text,
 * "[INST]" say, which a message can imitate: such models cannot tell.)
 *
 * Returns the number of tokens, also if it exceeds @cap. Errors: -ENOENT the
 * model has no template and none is named, -EOPNOTSUPP it is not known (both
 * messages have the list), -EINVAL no message, a role out of place, or the
 * vocabulary lacks a token of the template (it is named); -E2BIG, -ENOMEM.
 */
HEARTH_API int hearth_llm_chat_format(const struct hearth_llm *llm,
				      const struct hearth_chat_opts *opts,
				      const struct hearth_chat_message *messages,
				      size_t n, int32_t *ids, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_LLM_H */
