#ifndef TOY_FORMAT_H
#define TOY_FORMAT_H

#include "format/format.h"

extern const struct imsg_format toy_format;

#endif
