"""The C function between TVM's kernels and oneDNN, which is compiled into the library of a network.

It finds oneDNN when it is first called: by the path in the environment, else by its name. It needs none of
oneDNN's headers: the values of enumerations are those of oneDNN 3 (dnnl_types.h).
"""

from __future__ import annotations

FUNCTION = "dlas_onednn_convolution"

PATH = "DLAS_ONEDNN"
"""Environment variable with the path of oneDNN's shared library."""

NAME = "libdnnl.so.3"

CODE = rf"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {{ LANES = 16, DIMENSIONS = 12, SLOTS = 256 }};
enum {{ CPU = 1, IN_ORDER = 1, FLOAT32 = 3, INFERENCE = 96, DIRECT = 1, RELU = 0x20, CLIP = 0x2f }};
enum {{ TAG_X = 2, TAG_NCHW = 5, TAG_NCHW16C = 78 }};
enum {{ TAG_OIHW16I16O = 79, TAG_GOIHW16G = 114, TAG_OHWI16O = 211 }};
enum {{ SOURCE = 1, OUTPUT = 17, WEIGHTS = 33, BIAS = 41 }};

typedef int64_t dims[DIMENSIONS];
typedef struct {{ int arg; void *memory; }} argument;

typedef struct {{
    int32_t in_channels, height, width, out_channels, out_height, out_width, kernel[2], stride[2], padding[4],
        dilation[2], depthwise, bias, residual, activation;
}} convolution;

/* The convolution of a part of the output channels, made for one thread. */
typedef struct part {{
    struct part *next;
    convolution what;
    int32_t first, end;
    void *primitive, *source, *weights, *bias, *output;
}} part;

static struct {{
    int (*engine_create)(void **, int, size_t);
    int (*stream_create)(void **, void *, unsigned);
    int (*memory_desc_create_with_tag)(void **, int, const dims, int, int);
    int (*memory_create)(void **, void *, void *, void *);
    int (*memory_set_data_handle)(void *, void *);
    int (*post_ops_create)(void **);
    int (*post_ops_append_sum)(void *, float, int32_t, int);
    int (*post_ops_append_eltwise)(void *, int, float, float);
    int (*primitive_attr_create)(void **);
    int (*primitive_attr_set_post_ops)(void *, const void *);
    int (*convolution_forward_primitive_desc_create)(
        void **, void *, int, int, void *, void *, void *, void *, const dims, const dims, const dims,
        const dims, void *);
    int (*primitive_create)(void **, void *);
    int (*primitive_execute)(void *, void *, int, const argument *);
    void (*set_num_threads)(int);
}} dnnl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *engine;
static __thread void *stream;
static __thread part *parts[SLOTS];

static int complain(const char *what) {{
    fprintf(stderr, "oneDNN: %s\n", what);
    return -1;
}}

static void load(void) {{
    const char *path = getenv("{PATH}");
    void *library = dlopen(path ? path : "{NAME}", RTLD_NOW | RTLD_LOCAL);
    if (!library) {{ complain(dlerror()); return; }}
#define LOOK_UP(name) \
    if (!(*(void **)&dnnl.name = dlsym(library, "dnnl_" #name))) {{ complain(dlerror()); return; }}
    LOOK_UP(engine_create) LOOK_UP(stream_create) LOOK_UP(memory_desc_create_with_tag) LOOK_UP(memory_create)
    LOOK_UP(memory_set_data_handle) LOOK_UP(post_ops_create) LOOK_UP(post_ops_append_sum)
    LOOK_UP(post_ops_append_eltwise) LOOK_UP(primitive_attr_create) LOOK_UP(primitive_attr_set_post_ops)
    LOOK_UP(convolution_forward_primitive_desc_create) LOOK_UP(primitive_create) LOOK_UP(primitive_execute)
    *(void **)&dnnl.set_num_threads = dlsym(library, "omp_set_num_threads");  /* of its OpenMP */
    if (dnnl.engine_create(&engine, CPU, 0)) engine = NULL;
}}

static void *described(int count, const dims sizes, int tag) {{
    void *found = NULL;
    return dnnl.memory_desc_create_with_tag(&found, count, sizes, FLOAT32, tag) ? NULL : found;
}}

static int make(part *made) {{
    const convolution *what = &made->what;
    int64_t channels = (made->end - made->first) * LANES;
    int64_t inputs = what->depthwise ? channels : what->in_channels;
    int blocked = what->in_channels % LANES == 0;
    dims source = {{1, inputs, what->height, what->width}};
    dims output = {{1, channels, what->out_height, what->out_width}};
    dims dense = {{channels, inputs, what->kernel[0], what->kernel[1]}};
    dims grouped = {{channels, 1, 1, what->kernel[0], what->kernel[1]}};
    dims bias = {{channels}};
    dims stride = {{what->stride[0], what->stride[1]}};
    dims dilation = {{what->dilation[0] - 1, what->dilation[1] - 1}};
    dims before = {{what->padding[0], what->padding[1]}}, after = {{what->padding[2], what->padding[3]}};
    void *of_source = described(4, source, blocked ? TAG_NCHW16C : TAG_NCHW);
    void *of_output = described(4, output, TAG_NCHW16C);
    void *of_weights = what->depthwise ? described(5, grouped, TAG_GOIHW16G)
                                       : described(4, dense, blocked ? TAG_OIHW16I16O : TAG_OHWI16O);
    void *of_bias = what->bias ? described(1, bias, TAG_X) : NULL;
    void *steps = NULL, *attributes = NULL, *description = NULL;
    int wrong = !of_source || !of_output || !of_weights || (what->bias && !of_bias);
    wrong = wrong || dnnl.post_ops_create(&steps) || dnnl.primitive_attr_create(&attributes);
    wrong = wrong || (what->residual && dnnl.post_ops_append_sum(steps, 1.0f, 0, 0));
    wrong = wrong || (what->activation == 1 && dnnl.post_ops_append_eltwise(steps, RELU, 0.0f, 0.0f));
    wrong = wrong || (what->activation == 2 && dnnl.post_ops_append_eltwise(steps, CLIP, 0.0f, 6.0f));
    wrong = wrong || dnnl.primitive_attr_set_post_ops(attributes, steps);
    wrong = wrong || dnnl.convolution_forward_primitive_desc_create(&description, engine, INFERENCE, DIRECT,
        of_source, of_weights, of_bias, of_output, stride, dilation, before, after, attributes);
    wrong = wrong || dnnl.primitive_create(&made->primitive, description);
    wrong = wrong || dnnl.memory_create(&made->source, of_source, engine, NULL);
    wrong = wrong || dnnl.memory_create(&made->weights, of_weights, engine, NULL);
    wrong = wrong || dnnl.memory_create(&made->output, of_output, engine, NULL);
    wrong = wrong || (what->bias && dnnl.memory_create(&made->bias, of_bias, engine, NULL));
    return wrong ? complain("it does not compute this convolution") : 0;
}}

static part *wanted(const convolution *what, int32_t first, int32_t end) {{
    uint32_t hash = 2166136261u ^ (uint32_t)first * 31u ^ (uint32_t)end;
    const int32_t *fields = (const int32_t *)what;
    for (size_t at = 0; at < sizeof *what / sizeof *fields; ++at)
        hash = (hash ^ (uint32_t)fields[at]) * 16777619u;
    part **slot = &parts[hash % SLOTS];
    for (part *one = *slot; one; one = one->next)
        if (one->first == first && one->end == end && !memcmp(&one->what, what, sizeof *what)) return one;
    part *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->what = *what, made->first = first, made->end = end;
    if (make(made)) {{ free(made); return NULL; }}
    made->next = *slot;
    return *slot = made;
}}

/* Task `task` of `count` for each image: a part of its output channels. What comes last is the data. */
int {FUNCTION}(
    int32_t task, int32_t count, int32_t in_channels, int32_t height, int32_t width, int32_t out_channels,
    int32_t out_height, int32_t out_width, int32_t kernel_h, int32_t kernel_w, int32_t stride_h,
    int32_t stride_w, int32_t top, int32_t left, int32_t bottom, int32_t right, int32_t dilation_h,
    int32_t dilation_w, int32_t depthwise, int32_t bias, int32_t residual, int32_t activation, float *source,
    float *weights, float *biases, float *residuals, float *output) {{
    pthread_once(&once, load);
    if (!engine) return complain("it is not there: pip install 'dlas[mixed]'");
    if (!stream) {{
        if (dnnl.set_num_threads) dnnl.set_num_threads(1);  /* of this thread's work */
        if (dnnl.stream_create(&stream, engine, IN_ORDER)) return complain("it has no stream");
    }}
    convolution what = {{in_channels, height, width, out_channels, out_height, out_width,
        {{kernel_h, kernel_w}}, {{stride_h, stride_w}}, {{top, left, bottom, right}},
        {{dilation_h, dilation_w}}, depthwise, bias, residual, activation}};
    int64_t blocks = out_channels / LANES, image = task / count, share = task % count;
    int64_t first = blocks * share / count, end = blocks * (share + 1) / count;
    part *made = wanted(&what, (int32_t)first, (int32_t)end);
    if (!made) return -1;
    int64_t pixels = (int64_t)out_height * out_width, begin = first * LANES, size = (end - first) * LANES;
    int64_t inputs = depthwise ? 1 : in_channels;
    float *into = output + (image * out_channels + begin) * pixels;
    source += (image * in_channels + (depthwise ? begin : 0)) * (int64_t)height * width;
    weights += begin * inputs * kernel_h * kernel_w;
    if (residual) memcpy(into, residuals + (into - output), sizeof(float) * size * pixels);
    dnnl.memory_set_data_handle(made->source, source);
    dnnl.memory_set_data_handle(made->weights, weights);
    dnnl.memory_set_data_handle(made->output, into);
    if (bias) dnnl.memory_set_data_handle(made->bias, biases + begin);
    argument arguments[] = {{
        {{SOURCE, made->source}}, {{WEIGHTS, made->weights}}, {{OUTPUT, made->output}},
        {{BIAS, made->bias}}}};
    return dnnl.primitive_execute(made->primitive, stream, bias ? 4 : 3, arguments);
}}
"""
