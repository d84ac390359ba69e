/* Driver of an eieio engine behind AXI4-Lite and AXI4-Stream; see docs/integration.md.
 *
 * It is portable C99, allocates nothing, and knows no hardware but the registers: the caller says in
 * struct eieio_device how registers are reached and how streams are fed. */
#ifndef EIEIO_H
#define EIEIO_H

#include <stddef.h>
#include <stdint.h>

/* How to reach an engine. Each function gets `context`. Functions that move bytes return 0 once all
 * are moved, and anything else if that fails. On a stream, the bytes go lowest first, and TLAST goes
 * with the last ones. */
struct eieio_device {
    void *context;
    uint32_t (*read)(void *context, uint32_t address);
    void (*write)(void *context, uint32_t address, uint32_t value);
    int (*send_image)(void *context, const void *bytes, size_t size);
    int (*send_input)(void *context, const void *bytes, size_t size);
    int (*receive_output)(void *context, void *bytes, size_t size);
    /* Called again and again while the driver waits: sleep until the interrupt, or do nothing. A
     * value other than 0 ends waiting: time is over. */
    int (*wait)(void *context);
};

/* What the functions below return: 0, one of these, or a value of the register ERROR (above 0). */
enum {
    EIEIO_NO_DEVICE = -1, /* The registers do not begin with ID. */
    EIEIO_FOREIGN_IMAGE = -2, /* The frame is for another configuration. */
    EIEIO_TRANSFER_FAILED = -3, /* A function of struct eieio_device failed. */
    EIEIO_TIME_OUT = -4 /* `wait` ended waiting. */
};

/* Reset the engine, and enable its interrupt. An image must be loaded next. */
int eieio_open(const struct eieio_device *device);

/* Load a framed image (frame.bin of a package), and wait until it is accepted. */
int eieio_load(const struct eieio_device *device, const void *frame, size_t size);

/* Run one inference: send an input, wait, receive the output. */
int eieio_infer(const struct eieio_device *device, const void *input, size_t input_size,
                void *output, size_t output_size);

/* Cycles of the last inference. */
uint32_t eieio_cycles(const struct eieio_device *device);

#endif
