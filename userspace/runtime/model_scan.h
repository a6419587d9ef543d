/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_MODEL_SCAN_H
#define HEARTH_RUNTIME_MODEL_SCAN_H

#include "hearth.h"

/*
 * Find the GGUF files that processes have mapped, whatever program maps them:
 * @proc is where procfs is. Processes whose maps may not be read are left out.
 * Returns 0, what @fn returned if not 0, or -ENOMEM.
 */
int hearth_model_scan(const char *proc,
		      int (*fn)(const struct hearth_model_info *info, void *arg),
		      void *arg);

#endif
