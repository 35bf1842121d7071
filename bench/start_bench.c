/* How long the small runtime takes from nothing to the first result, and in how much memory: the program starts itself again, so that each
 * figure is that of a fresh process. Prints one JSON document; times are medians in milliseconds.
 *   start_bench NET.lbq [PROCESSES]
 * process: from before fork to the end of the child, which opens, plans, runs once on zeros and exits. open, plan, run: inside the child.
 * resident_anonymous: memory of the child that is no mapped file, behind its run. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lowbit/runtime/lowbit_runtime.h"

#define MOST_PORTS 16
#define MOST_PROCESSES 1000

typedef struct {
  double process, open, plan, run;
  size_t session_bytes, anonymous_bytes, base_bytes;
} Figures;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Bytes of this process that are backed by no file. */
static size_t anonymous_bytes(void) {
  char line[128];
  size_t kilobytes = 0;
  FILE* status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "RssAnon: %zu", &kilobytes) == 1) break;
  if (status) fclose(status);
  return kilobytes * 1024;
}

static int fail(const char* what) { return fprintf(stderr, "start_bench: %s: %s\n", what, lowbit_last_error()), 1; }

/* The child: writes its figures to descriptor `out`. */
static int once(const char* path, int out) {
  Figures f = {0};
  lowbit_model* model;
  lowbit_session* session;
  f.base_bytes = anonymous_bytes();
  const double begin = now();
  if (lowbit_model_open(path, &model) != LOWBIT_OK) return fail(path);
  const double opened = now();
  if (lowbit_session_create(model, NULL, &session) != LOWBIT_OK) return fail(path);
  const double planned = now();
  void *in[MOST_PORTS], *to[MOST_PORTS];
  size_t in_bytes[MOST_PORTS], to_bytes[MOST_PORTS];
  lowbit_port port;
  const size_t inputs = lowbit_session_inputs(session), outputs = lowbit_session_outputs(session);
  if (inputs > MOST_PORTS || outputs > MOST_PORTS) return fprintf(stderr, "start_bench: too many inputs or outputs\n"), 1;
  for (size_t i = 0; i < inputs; ++i) {
    lowbit_session_input(session, i, &port);
    in[i] = calloc(1, in_bytes[i] = port.bytes);
  }
  for (size_t i = 0; i < outputs; ++i) {
    lowbit_session_output(session, i, &port);
    to[i] = malloc(to_bytes[i] = port.bytes);
  }
  const double ready = now();
  if (lowbit_session_run(session, (const void* const*)in, in_bytes, to, to_bytes) != LOWBIT_OK) return fail("run");
  f.open = opened - begin;
  f.plan = planned - opened;
  f.run = now() - ready;
  f.session_bytes = lowbit_session_memory(session);
  f.anonymous_bytes = anonymous_bytes();
  return write(out, &f, sizeof f) == (ssize_t)sizeof f ? 0 : 1;
}

static int measure(const char* self, const char* path, Figures* f) {
  int ends[2], status = 0;
  if (pipe(ends) != 0) return 1;
  char out[16];
  snprintf(out, sizeof out, "%d", ends[1]);
  const double begin = now();
  const pid_t child = fork();
  if (child == 0) {
    execl(self, self, "--once", path, out, (char*)NULL);
    _exit(127);
  }
  close(ends[1]);
  const ssize_t got = read(ends[0], f, sizeof *f);
  waitpid(child, &status, 0);
  f->process = now() - begin;
  close(ends[0]);
  return got == (ssize_t)sizeof *f && status == 0 ? 0 : 1;
}

static int by_value(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static double median(const Figures* figures, size_t offset, int count) {
  static double values[MOST_PROCESSES];
  for (int i = 0; i < count; ++i) memcpy(&values[i], (const char*)&figures[i] + offset, sizeof(double));
  qsort(values, (size_t)count, sizeof(double), by_value);
  return values[count / 2];
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "--once") == 0) return once(argv[2], atoi(argv[3]));
  if (argc < 2) return fprintf(stderr, "usage: start_bench NET.lbq [PROCESSES]\n"), 2;
  int count = argc > 2 ? atoi(argv[2]) : 50;
  count = count < 1 ? 1 : count > MOST_PROCESSES ? MOST_PROCESSES : count;
  static Figures figures[MOST_PROCESSES];
  for (int i = 0; i < count; ++i)
    if (measure("/proc/self/exe", argv[1], &figures[i]) != 0) return 1;
  const Figures* last = &figures[count - 1];
  printf("{\"file\": \"%s\", \"processes\": %d, \"process_ms\": %.3f, \"open_ms\": %.3f, \"plan_ms\": %.3f, \"first_run_ms\": %.3f, ", argv[1], count,
         median(figures, offsetof(Figures, process), count), median(figures, offsetof(Figures, open), count),
         median(figures, offsetof(Figures, plan), count), median(figures, offsetof(Figures, run), count));
  printf("\"session_bytes\": %zu, \"anonymous_bytes_before\": %zu, \"anonymous_bytes_after\": %zu, \"instruction_set\": \"%s\"}\n", last->session_bytes,
         last->base_bytes, last->anonymous_bytes, lowbit_instruction_set());
  return 0;
}
