/* run_order.h - the body of POST /v1/run, and what its sender may ask for. */
#pragma once

#include "control/http.h"
#include "supervisor/run.h"

/* 0 and *ret, whose config is the caller's reference and whose input is malloc'd;
 * or the request has been answered with what is wrong, and -EINVAL. */
int run_order_read(struct http_request *r, struct run_order *ret);
