/* RFC 3339 in UTC, with its own calendar: timegm is no POSIX, and gmtime_r lets a year have five digits. The day
 * arithmetic is the proleptic Gregorian one, with years that start in March so that the leap day comes last. */
#include "base/text.h"

#define DAY 86400
#define ERA_DAYS 146097            /* 400 years */
#define EPOCH_DAYS 719468          /* 0000-03-01 to 1970-01-01 */
#define FIRST (-62167219200)       /* 0000-01-01T00:00:00Z */
#define LAST INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

static void date_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += EPOCH_DAYS;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = days - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static void put_number(char *out, int width, int64_t value)
{
    while (width-- > 0) {
        out[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

void imsg_time_format(time_t when, char out[static 21])
{
    /* Years that have no four digits become the nearest that have. */
    int64_t seconds = when < FIRST ? FIRST : when > LAST ? LAST : when;
    int64_t days = (seconds >= 0 ? seconds : seconds - (DAY - 1)) / DAY;
    int64_t rest = seconds - days * DAY, year, month, day;
    date_from_days(days, &year, &month, &day);
    put_number(out, 4, year);
    out[4] = '-';
    put_number(out + 5, 2, month);
    out[7] = '-';
    put_number(out + 8, 2, day);
    out[10] = 'T';
    put_number(out + 11, 2, rest / 3600);
    out[13] = ':';
    put_number(out + 14, 2, rest / 60 % 60);
    out[16] = ':';
    put_number(out + 17, 2, rest % 60);
    out[19] = 'Z';
    out[20] = 0;
}

static int64_t number(const char *text, int width)
{
    int64_t value = 0;
    for (int i = 0; i < width; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* Stops at the first character that is not as in the pattern, so it never reads past the NUL. */
static bool has_shape(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    text += sizeof shape - 1;
    if (*text == '.') {
        text++;
        if (*text < '0' || *text > '9')
            return false;
        while (*text >= '0' && *text <= '9')
            text++;
    }
    return text[0] == 'Z' && text[1] == 0;
}

enum imsg_status imsg_time_parse(const char *text, time_t *out, struct imsg_error *err)
{
    if (!has_shape(text))
        return imsg_fail(err, IMSG_MALFORMED, "not a time like 2026-11-24T03:20:00Z");
    int64_t year = number(text, 4), month = number(text + 5, 2), day = number(text + 8, 2);
    int64_t hour = number(text + 11, 2), minute = number(text + 14, 2), second = number(text + 17, 2);
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return imsg_fail(err, IMSG_MALFORMED, "no such day: %.10s", text);
    /* 60 is a leap second (RFC 3339 §5.7); it counts as the second after it, as POSIX has it. */
    if (hour > 23 || minute > 59 || second > 60)
        return imsg_fail(err, IMSG_MALFORMED, "no such time of day: %.8s", text + 11);
    *out = (time_t)(days_from_date(year, month, day) * DAY + hour * 3600 + minute * 60 + second);
    return IMSG_OK;
}

time_t imsg_now(void)
{
    return time(NULL);
}

uint64_t imsg_monotonic(void)
{
    struct timespec at = {0};
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}
