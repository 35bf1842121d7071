/* lowbit_runtime.h: the plain C interface of the small runtime (library lowbit_runtime). It loads a container (.lbq),
 * plans it for given input shapes and runs it; within a run nothing is allocated, locked or thrown.
 *
 *   lowbit_model* model;
 *   lowbit_session* session;
 *   if (lowbit_model_open("net.lbq", &model) != LOWBIT_OK || lowbit_session_create(model, NULL, &session) != LOWBIT_OK)
 *     return fail(lowbit_last_error());
 *   lowbit_session_run(session, &input, &input_bytes, &output, &output_bytes);
 *
 * Every function returns a status and never crashes or exits on bad arguments or files; lowbit_last_error() says in one
 * line what was found, what was expected and what to do. A model may be shared by sessions on any threads; a session is
 * used by one thread at a time. Buffers are dense, row-major, in the axis order of the model, aligned to their element.
 */
#ifndef LOWBIT_RUNTIME_H
#define LOWBIT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LOWBIT_API __attribute__((visibility("default")))
#else
#define LOWBIT_API
#endif

typedef enum lowbit_status {
  LOWBIT_OK = 0,
  LOWBIT_BAD_ARGUMENT = 1, /* a null pointer, a shape or size that does not fit, an impossible number of threads */
  LOWBIT_BAD_FILE = 2,     /* missing, damaged or not a container */
  LOWBIT_UNSUPPORTED = 3,  /* a sound model with an operator or form that this library does not run */
  LOWBIT_IO = 4,           /* the system failed while reading */
  LOWBIT_OUT_OF_MEMORY = 5,
  LOWBIT_INTERNAL = 6 /* a bug of the library */
} lowbit_status;

typedef enum lowbit_type {
  LOWBIT_FLOAT32 = 1,
  LOWBIT_FLOAT16 = 2,
  LOWBIT_BFLOAT16 = 3,
  LOWBIT_INT8 = 4,
  LOWBIT_UINT8 = 5,
  LOWBIT_INT16 = 6,
  LOWBIT_UINT16 = 7,
  LOWBIT_INT32 = 8,
  LOWBIT_INT64 = 9,
  LOWBIT_BOOL = 10,
  LOWBIT_OTHER = 99
} lowbit_type;

typedef struct lowbit_model lowbit_model;
typedef struct lowbit_session lowbit_session;

/* An input or output. The pointers stay valid until the session is planned anew or freed. */
typedef struct lowbit_port {
  const char* name;
  lowbit_type type;
  size_t rank;
  const int64_t* dims;
  size_t bytes;
} lowbit_port;

/* Spreads tasks: calls task(argument, i) for 0 <= i < n on any threads and returns when all are done. */
typedef void (*lowbit_parallel)(void* pool, void (*task)(void* argument, size_t i), void* argument, size_t n);

typedef struct lowbit_session_options {
  int threads;              /* 1 ... 256; with an own pool over how many parts work is spread */
  lowbit_parallel parallel; /* null: the library makes a pool of `threads` threads */
  void* pool;               /* handed to parallel */
} lowbit_session_options;

/* Maps a container; it must not change while the model lives. */
LOWBIT_API lowbit_status lowbit_model_open(const char* path, lowbit_model** model);
/* Reads a container from memory, which must stay until the model and its sessions are freed. At an address that is a
 * multiple of 64 weights are used where they lie; elsewhere the bytes are copied. */
LOWBIT_API lowbit_status lowbit_model_from_memory(const void* bytes, size_t size, lowbit_model** model);
/* Null is allowed. Sessions keep what they need of their model. */
LOWBIT_API void lowbit_model_free(lowbit_model* model);

/* Plans for the model's own input shapes, free dimensions 1. options null: one thread. */
LOWBIT_API lowbit_status lowbit_session_create(lowbit_model* model, const lowbit_session_options* options,
                                               lowbit_session** session);
/* Plans for other input shapes: dims[i] has ranks[i] numbers, for each input of the model. On failure the session keeps
 * its shapes. */
LOWBIT_API lowbit_status lowbit_session_set_shapes(lowbit_session* session, const int64_t* const* dims,
                                                   const size_t* ranks, size_t inputs);
LOWBIT_API void lowbit_session_free(lowbit_session* session);

LOWBIT_API size_t lowbit_session_inputs(const lowbit_session* session);
LOWBIT_API size_t lowbit_session_outputs(const lowbit_session* session);
LOWBIT_API lowbit_status lowbit_session_input(const lowbit_session* session, size_t index, lowbit_port* port);
LOWBIT_API lowbit_status lowbit_session_output(const lowbit_session* session, size_t index, lowbit_port* port);
/* Bytes that the session takes besides the weights: arena, scratch, addresses. */
LOWBIT_API size_t lowbit_session_memory(const lowbit_session* session);

/* Runs once. One buffer and its size in bytes per input and output, in the order of the ports. */
LOWBIT_API lowbit_status lowbit_session_run(lowbit_session* session, const void* const* inputs,
                                            const size_t* input_bytes, void* const* outputs,
                                            const size_t* output_bytes);

/* The last failure on this thread; "" if there was none. Valid until the next call that fails on this thread. */
LOWBIT_API const char* lowbit_last_error(void);
/* "out of memory" ... */
LOWBIT_API const char* lowbit_status_text(lowbit_status status);
/* Version of the library, and the instruction set that its kernels use here ("avx2"). */
LOWBIT_API const char* lowbit_version(void);
LOWBIT_API const char* lowbit_instruction_set(void);

#ifdef __cplusplus
}
#endif
#endif
