/* Handles: mail addresses and telephone numbers in one canonical form. */
#include "imsg.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define MAILTO "mailto:"
#define TEL "tel:"
#define DIGITS_MIN 2
#define DIGITS_MAX 15 /* E.164 */

static bool has_scheme(const char *text, const char *scheme)
{
    return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* What makes an address unusable, or NULL. */
static const char *address_fault(const char *address)
{
    size_t len = strlen(address);
    const char *at = strchr(address, '@');
    if (len > IMSG_HANDLE_MAX - strlen(MAILTO))
        return "too long";
    for (const char *p = address; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("<>\",", *p))
            return "a character that no address may hold";
    if (!at)
        return "no @";
    if (at == address)
        return "nothing before the @";
    if (!at[1])
        return "nothing after the @";
    if (strchr(at + 1, '@'))
        return "more than one @";
    return NULL;
}

/* "(0)", the 0 that is dialled inside the country only. With the country code before it, it is not dialled, so the
 * number that was meant has one digit less than the one that is written. */
static bool is_trunk_zero(const char *number)
{
    static const char blanks[] = "-. ";
    if (*number != '(')
        return false;
    number += 1 + strspn(number + 1, blanks);
    if (*number != '0')
        return false;
    number += 1 + strspn(number + 1, blanks);
    return *number == ')';
}

/* Same for a number without "tel:"; its digits go to out. */
static const char *number_fault(const char *number, char out[static DIGITS_MAX + 1])
{
    size_t count = 0;
    if (*number != '+')
        return "no + and country code";
    for (const char *p = number + 1; *p; p++) {
        if (is_trunk_zero(p))
            return "\"(0)\" is not dialled behind a country code";
        if (strchr("-.() ", *p))
            continue;
        if (*p < '0' || *p > '9')
            return "a character that no number may hold";
        if (count == DIGITS_MAX)
            return "more than 15 digits";
        out[count++] = *p;
    }
    if (count < DIGITS_MIN)
        return "fewer than 2 digits";
    if (out[0] == '0')
        return "a country code never starts with 0";
    out[count] = 0;
    return NULL;
}

bool imsg_handle_is(const char *text)
{
    return *text == '+' || strchr(text, '@') || has_scheme(text, MAILTO) || has_scheme(text, TEL);
}

enum imsg_status imsg_handle_canonical(const char *text, char **out, struct imsg_error *err)
{
    char handle[IMSG_HANDLE_MAX + 1];
    const char *fault = "neither an address nor a number with + and country code";
    size_t len = 0;
    bool tel = has_scheme(text, TEL), mailto = has_scheme(text, MAILTO);

    if (mailto || (!tel && strchr(text, '@'))) {
        const char *address = mailto ? text + strlen(MAILTO) : text;
        fault = address_fault(address);
        if (!fault) {
            memcpy(handle, MAILTO, len = strlen(MAILTO));
            for (const char *p = address; *p; p++)
                handle[len++] = is_upper(*p) ? (char)(*p - 'A' + 'a') : *p;
            handle[len] = 0;
        }
    } else if (tel || *text == '+') {
        char digits[DIGITS_MAX + 1];
        fault = number_fault(tel ? text + strlen(TEL) : text, digits);
        if (!fault) {
            memcpy(handle, TEL "+", len = strlen(TEL "+"));
            memcpy(handle + len, digits, strlen(digits) + 1);
        }
    }
    if (fault)
        return imsg_fail(err, IMSG_MALFORMED, "handle \"%.*s\": %s", IMSG_HANDLE_MAX, text, fault);
    return imsg_strdup(handle, out, err);
}

bool imsg_handle_is_canonical(const char *text)
{
    if (strncmp(text, MAILTO, strlen(MAILTO)) == 0) {
        for (const char *p = text; *p; p++)
            if (is_upper(*p))
                return false;
        return !address_fault(text + strlen(MAILTO));
    }
    if (strncmp(text, TEL, strlen(TEL)) == 0) {
        const char *number = text + strlen(TEL);
        char digits[DIGITS_MAX + 1];
        /* A fault-free number that lost nothing had no separators. */
        return !number_fault(number, digits) && strcmp(number + 1, digits) == 0;
    }
    return false;
}
