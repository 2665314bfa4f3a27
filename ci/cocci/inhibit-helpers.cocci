// SPDX-License-Identifier: GPL-2.0
/// Inhibits change through their helpers: they count, take the lock and kick vCPUs.
virtual report

@direct@
position p;
expression kvm, E;
@@

(
kvm->arch.apicv_inhibit_reasons@p = E
|
kvm->arch.apicv_inhibit_reasons@p |= E
|
kvm->arch.apicv_inhibit_reasons@p &= E
|
WRITE_ONCE(kvm->arch.apicv_inhibit_reasons@p, E)
|
\(set_bit\|clear_bit\|__set_bit\|__clear_bit\|set_or_clear_apicv_inhibit\)(..., &kvm->arch.apicv_inhibit_reasons@p, ...)
|
\(set_bit\|clear_bit\|__set_bit\|__clear_bit\|set_or_clear_apicv_inhibit\)(&kvm->arch.apicv_inhibit_reasons@p, ...)
)

@script:python depends on report@
p << direct.p;
@@

if p[0].current_element not in ("__kvm_set_or_clear_apicv_inhibit", "kvm_apicv_init"):
    coccilib.report.print_report(p[0], "WARNING: apicv_inhibit_reasons changes outside kvm_{set,clear}_apicv_inhibit()")

@window@
position p;
expression kvm;
identifier toggle =~ "^(__)?kvm_(set|clear|set_or_clear)_apicv_inhibit$";
@@

toggle@p(kvm, APICV_INHIBIT_REASON_IRQWIN, ...)

@script:python depends on report@
p << window.p;
@@

if p[0].current_element != "kvm_inc_or_dec_irq_window_inhibit":
    coccilib.report.print_report(p[0], "WARNING: the IRQ-window inhibit changes outside kvm_{inc,dec}_apicv_irq_window_req()")
