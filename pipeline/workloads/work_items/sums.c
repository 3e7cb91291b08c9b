/* The iterated sums of arithmetic.py as machine code: the same operations in the same
   order, and so the same bits. Compile with -ffp-contract=off, or the compiler may fuse
   a product with the sum, which rounds once instead of twice. */

double work(double value, long long iterations)
{
    double total = 0.0;
    for (long long i = 1; i <= iterations; i++)
        total += value * ((double)i * 0.001);
    return total;
}

/* Replaces each of `count` values by its sum; `totals` is of the same length. */
void work_on_each(
    const double *values, long long count, long long iterations, double *totals)
{
    for (long long k = 0; k < count; k++)
        totals[k] = 0.0;
    for (long long i = 1; i <= iterations; i++) {
        double factor = (double)i * 0.001;
        for (long long k = 0; k < count; k++)
            totals[k] += values[k] * factor;
    }
}
