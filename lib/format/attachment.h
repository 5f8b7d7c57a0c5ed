/* The table of attachment/1, for documents that hold such descriptors. */
#ifndef IMSG_FORMAT_ATTACHMENT_H
#define IMSG_FORMAT_ATTACHMENT_H

#include "format/member.h"

extern const struct imsg_document imsg_attachment_document;

#endif
