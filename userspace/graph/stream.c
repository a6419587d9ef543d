// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/stream.h"
#include "runtime/error.h"

/* Room for @more elements of @size bytes after @n. */
static int reserve(void **array, uint32_t n, uint32_t more, uint32_t *room, size_t size)
{
	uint32_t want = *room ? *room : 64;
	void *p;

	if (n + more <= *room)
		return 0;
	while (want < n + more)
		want *= 2;
	p = realloc(*array, want * size);
	if (!p)
		return hearth_seterr(-ENOMEM, "no memory for a command stream of %u entries",
				     want);
	*array = p;
	*room = want;
	return 0;
}

static int reserve_all(struct hg_stream *s, uint32_t bytes, unsigned int n_fields)
{
	int ret;

	if (bytes > HG_MAX_STREAM_BYTES - s->bytes)
		return hearth_seterr(-E2BIG, "the command stream exceeds %u bytes",
				     HG_MAX_STREAM_BYTES);
	ret = reserve((void **)&s->data, s->bytes, bytes, &s->room, 1);
	if (!ret)
		ret = reserve((void **)&s->cmds, s->n_cmds, 1, &s->cmd_room,
			      sizeof(*s->cmds));
	if (!ret)
		ret = reserve((void **)&s->relocs, s->n_relocs, n_fields, &s->reloc_room,
			      sizeof(*s->relocs));
	return ret;
}

int hg_stream_append(struct hg_stream *s, unsigned int opcode,
		     struct hearth_cmd_header *cmd, uint32_t bytes, uint32_t op,
		     const struct hg_field *fields, unsigned int n_fields)
{
	int ret = reserve_all(s, bytes, n_fields);

	if (ret)
		return ret;
	cmd->op = opcode;
	cmd->reserved = 0;
	cmd->bytes = bytes;
	memcpy(s->data + s->bytes, cmd, bytes);
	for (unsigned int i = 0; i < n_fields; i++) {
		if (fields[i].ref.place == HG_NONE)
			continue;
		s->relocs[s->n_relocs++] = (struct hg_reloc){
			.at = s->bytes + fields[i].at,
			.cmd = s->n_cmds,
			.ref = fields[i].ref,
		};
	}
	s->cmds[s->n_cmds++] = (struct hg_cmd){ .at = s->bytes, .op = op };
	s->bytes += bytes;
	return 0;
}

void hg_stream_free(struct hg_stream *s)
{
	free(s->data);
	free(s->cmds);
	free(s->relocs);
	*s = (struct hg_stream){ 0 };
}
