// SPDX-License-Identifier: GPL-2.0
/// A pointer is used before it is tested.
virtual report

@used@
expression E;
identifier f;
position p;
@@

E->f
... when != E = NULL
if (E@p == NULL) { ... return ...; }

@script:python depends on report@
p << used.p;
@@

coccilib.report.print_report(p[0], "ERROR: tested too late")
