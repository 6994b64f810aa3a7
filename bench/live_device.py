"""V4L2 device without hardware, for ustreamer: a library that stands before its calls and gives one JPEG at a fixed rate.

The library writes the monotonic time into each picture, where `bench.live.a_picture` leaves room for it.
"""

import os
from pathlib import Path

import anyio

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int device = -1;
static unsigned char *buffers[32];
static unsigned char picture[4 << 20];
static unsigned size, room = 4 << 20, first, queued, count;
static unsigned queue[32];

static int start(void) {
    FILE *file = fopen(getenv("BENCH_PICTURE"), "rb");
    size = fread(picture, 1, sizeof picture, file);
    fclose(file);
    device = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    return device;
}

static int is_device(const char *path) { return path && getenv("BENCH_DEVICE") && !strcmp(path, getenv("BENCH_DEVICE")); }

#define OPEN(NAME) \
    int NAME(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #NAME); \
        return is_device(path) ? start() : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define MMAP(NAME, OFFSET) \
    void *NAME(void *at, size_t length, int protection, int flags, int fd, OFFSET offset) { \
        void *(*real)(void *, size_t, int, int, int, OFFSET) = dlsym(RTLD_NEXT, #NAME); \
        if (fd < 0 || fd != device) return real(at, length, protection, flags, fd, offset); \
        unsigned index = offset / room; \
        buffers[index] = real(0, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); \
        memcpy(buffers[index], picture, size); \
        return buffers[index]; \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

static int dequeue(struct v4l2_buffer *buffer) {
    uint64_t passed;
    struct timespec now;
    char text[21];
    if (!queued || read(device, &passed, 8) != 8) return -1;
    unsigned index = queue[first]; first = (first + 1) % 32; queued--;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "%020llu", now.tv_sec * 1000000000ULL + now.tv_nsec);
    memcpy(buffers[index] + 6, text, 20);
    buffer->index = index; buffer->bytesused = size; buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = now.tv_sec; buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    buffer->sequence = count++;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    struct v4l2_buffer *buffer = argument;
    switch ((unsigned)request) { // some pass an int
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *all = argument;
        memset(all, 0, sizeof *all);
        all->capabilities = all->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    }
    case VIDIOC_S_FMT: case VIDIOC_G_FMT: {
        struct v4l2_format *format = argument;
        format->fmt.pix.width = atoi(getenv("BENCH_WIDTH")); format->fmt.pix.height = atoi(getenv("BENCH_HEIGHT"));
        format->fmt.pix.pixelformat = V4L2_PIX_FMT_MJPEG; format->fmt.pix.sizeimage = room;
        format->fmt.pix.field = V4L2_FIELD_NONE; format->fmt.pix.bytesperline = 0;
        return 0;
    }
    case VIDIOC_S_INPUT: case VIDIOC_G_PARM: case VIDIOC_S_PARM: return 0;
    case VIDIOC_REQBUFS: ((struct v4l2_requestbuffers *)argument)->count = 4; return 0;
    case VIDIOC_QUERYBUF: buffer->length = room; buffer->m.offset = buffer->index * room; return 0;
    case VIDIOC_QBUF: queue[(first + queued++) % 32] = buffer->index; return 0;
    case VIDIOC_DQBUF: return dequeue(buffer);
    case VIDIOC_STREAMON: {
        long interval = 1000000000L / atoi(getenv("BENCH_FPS"));
        struct itimerspec each = {{0, interval}, {0, interval}};
        return timerfd_settime(device, 0, &each, 0);
    }
    case VIDIOC_STREAMOFF: return 0;
    }
    return -1;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list more; va_start(more, request); void *argument = va_arg(more, void *); va_end(more);
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return fd >= 0 && fd == device ? answer(request, argument) : real(fd, request, argument);
}
"""


async def library(folder: Path) -> Path:
    """Compile the library; needs `cc`."""
    source, made = folder / "device.c", folder / "device.so"
    source.write_text(SOURCE)
    await anyio.run_process(["cc", "-O2", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"])
    return made


def environment(made: Path, picture: Path, size: tuple[int, int], fps: int) -> dict[str, str]:
    """Return the environment of ustreamer; its device is the picture's file."""
    return {
        **os.environ,
        "LD_PRELOAD": str(made),
        "BENCH_DEVICE": str(picture),
        "BENCH_PICTURE": str(picture),
        "BENCH_WIDTH": str(size[0]),
        "BENCH_HEIGHT": str(size[1]),
        "BENCH_FPS": str(fps),
    }
