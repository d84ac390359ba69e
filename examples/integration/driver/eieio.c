#include "eieio.h"

#include "eieio_registers.h"

#define EVENTS                                                                                     \
    (EIEIO_INTERRUPT_STATUS_INFERENCE_DONE | EIEIO_INTERRUPT_STATUS_ERROR                          \
     | EIEIO_INTERRUPT_STATUS_IMAGE_LOADED)

static uint32_t word(const void *bytes, size_t number)
{
    const uint8_t *at = (const uint8_t *)bytes + 4 * number;

    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Wait for an event or an error. An error is cleared, so that the next call starts afresh. */
static int wait_for(const struct eieio_device *device, uint32_t event)
{
    void *context = device->context;

    for (;;) {
        uint32_t events = device->read(context, EIEIO_INTERRUPT_STATUS_ADDRESS) & EVENTS;

        device->write(context, EIEIO_INTERRUPT_STATUS_ADDRESS, events);
        if (events & EIEIO_INTERRUPT_STATUS_ERROR) {
            uint32_t error = device->read(context, EIEIO_ERROR_ADDRESS);

            device->write(context, EIEIO_CONTROL_ADDRESS,
                          EIEIO_CONTROL_RUN | EIEIO_CONTROL_CLEAR_ERROR);
            return (int)error;
        }
        if (events & event)
            return 0;
        if (device->wait(context))
            return EIEIO_TIME_OUT;
    }
}

int eieio_open(const struct eieio_device *device)
{
    void *context = device->context;

    if (device->read(context, EIEIO_ID_ADDRESS) != EIEIO_ID_VALUE)
        return EIEIO_NO_DEVICE;
    device->write(context, EIEIO_CONTROL_ADDRESS, EIEIO_CONTROL_RUN | EIEIO_CONTROL_SOFT_RESET);
    device->write(context, EIEIO_INTERRUPT_ENABLE_ADDRESS, EVENTS);
    return 0;
}

int eieio_load(const struct eieio_device *device, const void *frame, size_t size)
{
    if (size < 20 || word(frame, 1) != device->read(device->context, EIEIO_CONFIG_ADDRESS))
        return EIEIO_FOREIGN_IMAGE;
    if (device->send_image(device->context, frame, size))
        return EIEIO_TRANSFER_FAILED;
    return wait_for(device, EIEIO_INTERRUPT_STATUS_IMAGE_LOADED);
}

int eieio_infer(const struct eieio_device *device, const void *input, size_t input_size,
                void *output, size_t output_size)
{
    int status;

    if (device->send_input(device->context, input, input_size))
        return EIEIO_TRANSFER_FAILED;
    status = wait_for(device, EIEIO_INTERRUPT_STATUS_INFERENCE_DONE);
    if (status)
        return status;
    return device->receive_output(device->context, output, output_size) ? EIEIO_TRANSFER_FAILED : 0;
}

uint32_t eieio_cycles(const struct eieio_device *device)
{
    return device->read(device->context, EIEIO_CYCLES_ADDRESS);
}
