// SPDX-License-Identifier: GPL-2.0-or-later
/* The wrong order, when it is asked for */
#define DOORBELL 1
#include "ipi-order.c"
