/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_GRAPH_TFLITE_IMPORT_H
#define HEARTH_GRAPH_TFLITE_IMPORT_H

struct hearth_graph;
struct tflite_model;

/* A graph from a file that was read; takes @m over, also on failure. */
int hg_import_tflite(struct tflite_model *m, struct hearth_graph **graph);

#endif /* HEARTH_GRAPH_TFLITE_IMPORT_H */
