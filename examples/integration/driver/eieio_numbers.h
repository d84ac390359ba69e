/* Real numbers and the integers of an engine, as the package's network.json describes them; see
 * docs/integration.md. Link with -lm. */
#ifndef EIEIO_NUMBERS_H
#define EIEIO_NUMBERS_H

#include <math.h>
#include <stdint.h>

/* "input" or "output" of network.json. */
struct eieio_numbers {
    double scale;
    int32_t zero_point, minimum, maximum;
    int half_away; /* 1 if "half" is "away", 0 if it is "even" */
};

/* Integer of a real number. Real numbers beyond the range become its ends. */
static inline int32_t eieio_integer(const struct eieio_numbers *numbers, double real)
{
    double steps = real / numbers->scale;
    /* rint() takes a half to the even integer, unless fesetround() was called. */
    double integer = (numbers->half_away ? round(steps) : rint(steps)) + numbers->zero_point;

    if (integer < numbers->minimum)
        return numbers->minimum;
    return integer > numbers->maximum ? numbers->maximum : (int32_t)integer;
}

/* Real number of an integer. */
static inline double eieio_real(const struct eieio_numbers *numbers, int32_t integer)
{
    return numbers->scale * ((double)integer - numbers->zero_point);
}

#endif
