/* The functions of line_ends.py as machine code: memchr looks at many bytes at once. */

#include <string.h>

typedef long long integer;

/* Returns where the first `lines` lines of text[start:stop] end, or as many as there
   are. `*found` gets their number. */
integer end_of_lines(const char *text, integer start, integer stop, integer lines,
                     integer *found)
{
    const char *at = text + start, *stop_at = text + stop;
    integer count = 0;
    while (count < lines) {
        const char *end = memchr(at, '\n', (size_t)(stop_at - at));
        if (end == NULL)
            break;
        at = end + 1;
        count++;
    }
    *found = count;
    return at - text;
}

/* Returns the number of lines in text[0:size] if each begins with { and ends with }, or
   else 0. */
integer count_objects(const char *text, integer size)
{
    const char *at = text, *stop_at = text + size;
    integer count = 0;
    while (at < stop_at) {
        const char *end = memchr(at, '\n', (size_t)(stop_at - at));
        if (end == NULL || *at != '{' || end[-1] != '}')
            return 0;
        at = end + 1;
        count++;
    }
    return count;
}
