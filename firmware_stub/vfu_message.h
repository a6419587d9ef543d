/* SPDX-License-Identifier: MIT */
/* Within the vfio-user server: the commands, and what they need of it. */
#ifndef HEARTH_VFU_MESSAGE_H
#define HEARTH_VFU_MESSAGE_H

#include "vfu_server.h"

/* Handle the command in vfu->conn and answer it; <0 if that cannot be sent. */
int vfu_handle(struct vfu_server *vfu);

void vfu_reset_device(struct vfu_server *vfu, enum vfu_reset why);

/* A listening unix socket, or -errno. */
int vfu_listen_at(const char *path);

#endif
