/* The loops of parse.py, rules.py and arithmetic.py as machine code: the same operations
   in the same order, and so the same bits. Compile with -ffp-contract=off, or the
   compiler may fuse a product with the sum, which rounds once instead of twice.

   The columns are those of work_items.proto. Items are computed one by one. Those that
   are kept fill the output columns from the start. `refusals` gets a number for each
   item: 0 if it is kept, or else the place of its refusal in REFUSALS of the stage's
   module, counted from 1. */

#include <float.h>
#include <math.h>

typedef long long integer;

enum { FEATURES = 5 };

/* How many iterated sums of an item are computed side by side. Each addition waits for
   the one before it in its own sum. Ten fill the registers and suit 2n values, where n
   is a multiple of 5. */
enum { LANES = 10 };

static int is_finite(double value)
{
    return fabs(value) <= DBL_MAX;
}

static int all_finite(const double *values, integer count)
{
    int finite = 1;
    for (integer k = 0; k < count; k++)
        finite &= is_finite(values[k]);
    return finite;
}

static double left_to_right(const double *values, integer count)
{
    double total = 0.0;
    for (integer k = 0; k < count; k++)
        total += values[k];
    return total;
}

/* Returns the norm, after it has written the normalised vector if the norm is finite. */
static double normalise(const double *vector, integer n, double *normalised)
{
    double total = 0.0;
    for (integer k = 0; k < n; k++)
        total += vector[k] * vector[k];
    double norm = sqrt(total);
    if (is_finite(norm))
        for (integer k = 0; k < n; k++)
            normalised[k] = norm ? vector[k] / norm : vector[k];
    return norm;
}

static void transpose(const double *matrix, integer n, double *transposed)
{
    for (integer row = 0; row < n; row++)
        for (integer column = 0; column < n; column++)
            transposed[column * n + row] = matrix[row * n + column];
}

double work(double value, integer iterations)
{
    double total = 0.0;
    for (integer i = 1; i <= iterations; i++)
        total += value * ((double)i * 0.001);
    return total;
}

/* Returns the sum of the `work` of each value. */
static double checksum_of(const double *values, integer count, integer iterations)
{
    double checksum = 0.0;
    for (integer at = 0; at < count; at += LANES) {
        integer used = count - at < LANES ? count - at : LANES;
        double lanes[LANES] = {0.0}, totals[LANES] = {0.0};
        for (integer k = 0; k < used; k++)
            lanes[k] = values[at + k];
        for (integer i = 1; i <= iterations; i++) {
            double factor = (double)i * 0.001;
            for (integer k = 0; k < LANES; k++)
                totals[k] += lanes[k] * factor;
        }
        for (integer k = 0; k < used; k++)
            checksum += totals[k];
    }
    return checksum;
}

void parse(
    integer count, const integer *size, const integer *iterations,
    const double *first, const double *second, const double *matrix,
    char *refusals, double *normalised, double *transposed, double *checksum)
{
    for (integer item = 0; item < count; item++) {
        integer n = size[item];
        int refusal = 0;
        if (n == 0)
            refusal = 1;
        else if (!all_finite(first, n))
            refusal = 2;
        else if (!all_finite(second, n))
            refusal = 3;
        else if (!all_finite(matrix, n * n))
            refusal = 4;
        else if (!is_finite(normalise(first, n, normalised)))
            refusal = 5;
        else if (!is_finite(normalise(second, n, normalised + n)))
            refusal = 6;
        if (!refusal) {
            transpose(matrix, n, transposed);
            *checksum++ = checksum_of(normalised, 2 * n, iterations[item]);
            normalised += 2 * n;
            transposed += n * n;
        }
        refusals[item] = (char)refusal;
        first += n;
        second += n;
        matrix += n * n;
    }
}

void rules(
    integer count, const integer *size, const integer *iterations,
    const double *normalised, const double *matrix, const double *checksum,
    char *refusals, double *mean, double *deviation, double *features,
    double *matrix_total, double *score)
{
    for (integer item = 0; item < count; item++) {
        integer n = size[item], values = 2 * n;
        double total = left_to_right(matrix, n * n);
        double average = left_to_right(normalised, values) / (double)values;
        double worked = work((checksum[item] + total) + average, iterations[item]);
        int refusal = !is_finite(total) ? 1 : !is_finite(worked) ? 2 : 0;
        if (!refusal) {
            double squares = 0.0;
            for (integer k = 0; k < values; k++) {
                double distance = normalised[k] - average;
                squares += distance * distance;
            }
            for (integer k = 0; k < FEATURES; k++)
                *features++ = k < values ? normalised[k] : 0.0;
            *mean++ = average;
            *deviation++ = sqrt(squares / (double)values);
            *matrix_total++ = total;
            *score++ = worked;
        }
        refusals[item] = (char)refusal;
        normalised += values;
        matrix += n * n;
    }
}
