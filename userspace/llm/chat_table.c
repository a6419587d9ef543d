// SPDX-License-Identifier: MIT
#include "llm/chat_table.h"

#define EOS	CHAT_EOS

/* With U+FF5C, a wide bar. */
#define DS_USER		"<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define DS_ASSISTANT	"<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>"

#define CHATML								\
	.needs = { "<|im_start|>", "<|im_end|>" },			\
	.before = { "<|im_start|>system\n", "<|im_start|>user\n",	\
		    "<|im_start|>assistant\n" },			\
	.after = { "<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n" },	\
	.answer = "<|im_start|>assistant\n"

const struct chat_template chat_templates[] = {
	{
		.name = "phi4",
		.has = { "<|im_start|>", "<|im_sep|>" },
		.needs = { "<|im_start|>", "<|im_sep|>", "<|im_end|>" },
		.before = { "<|im_start|>system<|im_sep|>", "<|im_start|>user<|im_sep|>",
			    "<|im_start|>assistant<|im_sep|>" },
		.after = { "<|im_end|>", "<|im_end|>", "<|im_end|>" },
		.answer = "<|im_start|>assistant<|im_sep|>",
	},
	{
		.name = "qwen3",
		.has = { "<|im_start|>", "</think>" },
		CHATML,
		.thinks = true,
	},
	{
		.name = "chatml",
		.has = { "<|im_start|>" },
		CHATML,
	},
	{
		.name = "llama3",
		.has = { "<|start_header_id|>", "<|end_header_id|>" },
		.needs = { "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" },
		.before = { "<|start_header_id|>system<|end_header_id|>\n\n",
			    "<|start_header_id|>user<|end_header_id|>\n\n",
			    "<|start_header_id|>assistant<|end_header_id|>\n\n" },
		.after = { "<|eot_id|>", "<|eot_id|>", "<|eot_id|>" },
		.answer = "<|start_header_id|>assistant<|end_header_id|>\n\n",
		.bos = true,
		.trim = true,
	},
	{
		.name = "gemma",
		.has = { "<start_of_turn>" },
		.needs = { "<start_of_turn>", "<end_of_turn>" },
		.before = { "", "<start_of_turn>user\n", "<start_of_turn>model\n" },
		.after = { "\n\n", "<end_of_turn>\n", "<end_of_turn>\n" },
		.answer = "<start_of_turn>model\n",
		.bos = true,
		.trim = true,
		.system_in_question = true,
	},
	{
		.name = "llama2",
		.has = { "[INST]", "<<SYS>>" },
		.before = { "<<SYS>>\n", "[INST] ", " " },
		.after = { "\n<</SYS>>\n\n", " [/INST]", " " EOS },
		.answer = "",
		.bos = true,
		.bos_each = true,
		.trim = true,
		.system_in_question = true,
	},
	{
		.name = "mistral-tekken",
		.has = { "[AVAILABLE_TOOLS]", "\"[INST]\"" },
		.lacks = { "[SYSTEM_PROMPT]" },
		.needs = { "[INST]", "[/INST]" },
		.before = { "", "[INST]", "" },
		.after = { "\n\n", "[/INST]", EOS },
		.answer = "",
		.bos = true,
		.system_in_question = true,
	},
	{
		.name = "mistral-v3",
		.has = { "[AVAILABLE_TOOLS]", "[INST]" },
		.lacks = { "[SYSTEM_PROMPT]" },
		.needs = { "[INST]", "[/INST]" },
		.before = { "", "[INST] ", " " },
		.after = { "\n\n", "[/INST]", EOS },
		.answer = "",
		.bos = true,
		.trim_answers = true,
		.system_in_question = true,
	},
	{
		.name = "mistral",
		.has = { "[INST]" },
		.lacks = { "[SYSTEM_PROMPT]" },
		.before = { "", "[INST] ", " " },
		.after = { "\n\n", " [/INST]", EOS },
		.answer = "",
		.bos = true,
		.system_in_question = true,
	},
	{
		.name = "phi3",
		.has = { "<|user|>", "<|assistant|>", "<|end|>" },
		.needs = { "<|user|>", "<|assistant|>", "<|end|>" },
		.before = { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" },
		.after = { "<|end|>\n", "<|end|>\n", "<|end|>\n" },
		.answer = "<|assistant|>\n",
	},
	{
		.name = "phi4-mini",
		.has = { "<|assistant|>", "<|end|>" },
		.needs = { "<|user|>", "<|assistant|>", "<|end|>" },
		.before = { "<|system|>", "<|user|>", "<|assistant|>" },
		.after = { "<|end|>", "<|end|>", "<|end|>" },
		.answer = "<|assistant|>",
	},
	{
		.name = "deepseek",
		.has = { DS_USER, DS_ASSISTANT },
		.needs = { DS_USER, DS_ASSISTANT },
		.before = { "", DS_USER, DS_ASSISTANT },
		.after = { "", "", EOS },
		.answer = DS_ASSISTANT,
		.bos = true,
		.thinks = true,
	},
	{
		.name = "zephyr",
		.has = { "<|user|>", "<|assistant|>", "eos_token" },
		.before = { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" },
		.after = { EOS "\n", EOS "\n", EOS "\n" },
		.answer = "<|assistant|>\n",
	},
	{ 0 }
};
