/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_PHONE_ROLES_H
#define HEARTH_PHONE_ROLES_H

/* What this program is, by its first argument. Each returns an exit status. */
int role_app(int argc, char **argv);
int role_client(int argc, char **argv);
int role_loader(int argc, char **argv);
int role_scene(int argc, char **argv);
int role_admission(int argc, char **argv);

#endif
