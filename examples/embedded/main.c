/* The smallest program with the small runtime: runs a container once on zeros or on a file of float32 numbers and prints the outputs.
 *   embedded NET.lbq [INPUT.f32 ...]
 * cc main.c -llowbit_runtime */
#include <stdio.h>
#include <stdlib.h>

#include "lowbit/runtime/lowbit_runtime.h"

static int fail(const char* what) {
  fprintf(stderr, "embedded: %s: %s\n", what, lowbit_last_error());
  return 1;
}

/* Fills a buffer from a file; 0 if the file does not have exactly that many bytes. */
static int read_exactly(const char* path, void* data, size_t bytes) {
  FILE* file = fopen(path, "rb");
  if (!file) return 0;
  const size_t got = fread(data, 1, bytes, file);
  const int more = fgetc(file);
  fclose(file);
  return got == bytes && more == EOF;
}

#define MOST_PORTS 8

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: embedded NET.lbq [INPUT.f32 ...]\n");
    return 2;
  }
  lowbit_model* model;
  lowbit_session* session;
  if (lowbit_model_open(argv[1], &model) != LOWBIT_OK) return fail(argv[1]);
  if (lowbit_session_create(model, NULL, &session) != LOWBIT_OK) return fail(argv[1]);
  const size_t inputs = lowbit_session_inputs(session), outputs = lowbit_session_outputs(session);
  if (inputs > MOST_PORTS || outputs > MOST_PORTS) return fprintf(stderr, "embedded: too many inputs or outputs\n"), 1;

  void *in[MOST_PORTS], *out[MOST_PORTS];
  size_t in_bytes[MOST_PORTS], out_bytes[MOST_PORTS];
  lowbit_port port;
  for (size_t i = 0; i < inputs; ++i) {
    if (lowbit_session_input(session, i, &port) != LOWBIT_OK) return fail("input");
    in_bytes[i] = port.bytes;
    in[i] = calloc(1, port.bytes);
    if (!in[i]) return fprintf(stderr, "embedded: no memory\n"), 1;
    if (argc > 2 + (int)i && !read_exactly(argv[2 + i], in[i], port.bytes))
      return fprintf(stderr, "embedded: %s: not a file of %zu bytes\n", argv[2 + i], port.bytes), 1;
  }
  for (size_t i = 0; i < outputs; ++i) {
    if (lowbit_session_output(session, i, &port) != LOWBIT_OK) return fail("output");
    out_bytes[i] = port.bytes;
    out[i] = malloc(port.bytes);
    if (!out[i]) return fprintf(stderr, "embedded: no memory\n"), 1;
  }
  if (lowbit_session_run(session, (const void* const*)in, in_bytes, out, out_bytes) != LOWBIT_OK) return fail("run");
  for (size_t i = 0; i < outputs; ++i) {
    lowbit_session_output(session, i, &port);
    printf("%s:", port.name);
    for (size_t k = 0; port.type == LOWBIT_FLOAT32 && k < port.bytes / sizeof(float) && k < 16; ++k) printf(" %g", (double)((float*)out[i])[k]);
    printf("\n");
    free(out[i]);
  }
  for (size_t i = 0; i < inputs; ++i) free(in[i]);
  lowbit_session_free(session);
  lowbit_model_free(model);
  return 0;
}
