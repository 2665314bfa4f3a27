// SPDX-License-Identifier: GPL-2.0
/*
 * irq_storm VCPUS PERCENT EXTINTS: for how many interrupts does AVIC stay off after an ExtINT?
 *
 * Each ExtINT opens an IRQ window of vCPU 0.  Then a vCPU is drawn again and again.  If it
 * has no interrupt, it gets one of a device with PERCENT % probability, and has IRQs off;
 * if it has one, it enables IRQs and takes it with that of the other case.  Once no vCPU
 * has an interrupt left, the next ExtINT comes.  So each vCPU waits for its window PERCENT %
 * of the time.  scripts/avic/cmd/bench.py draws the same numbers.
 *
 * Every interrupt must arrive.  tests/guest/counts counts what is sent while AVIC is off.
 */
#include "in_turn.h"

#include <stdint.h>

#include "counted.h"

#define EXTINT_VECTOR	0x40
#define VECTOR		0x50

static struct vcpu vcpus[MAX_VCPUS];
static int number, percent;
static bool waits[MAX_VCPUS];

static int draw(int below)
{
	static uint32_t state;

	state = state * 1664525 + 1013904223;
	return (state >> 16) % below;
}

static struct kvm_irq_routing_entry route(int id)
{
	return msi_to(id, VECTOR);
}

static bool take(struct vcpu *vcpu)
{
	if (!arrives(vcpu))
		return false;
	run_to(vcpu, PORT_OPEN);
	run_to(vcpu, PORT_CLOSED);
	return true;
}

static void get(int to)
{
	mark("interrupt");
	signal_irqfd(to);
	run_to(&vcpus[to], PORT_WAITING);
}

/* From one ExtINT until no interrupt is left; false if one does not arrive. */
static bool storm(void)
{
	int left = 1, i, roll;

	extint(&vcpus[0], EXTINT_VECTOR);
	run_to(&vcpus[0], PORT_WAITING);
	waits[0] = true;
	while (left) {
		i = draw(number);
		roll = draw(100);
		if (!waits[i] && roll < percent) {
			get(i);
			waits[i] = true;
			left++;
		} else if (waits[i] && roll < 100 - percent) {
			if (!take(&vcpus[i]))
				return false;
			waits[i] = false;
			left--;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	int extints = argc == 4 ? atoi(argv[3]) : 0;
	int i, done = 0;

	number = argc == 4 ? atoi(argv[1]) : 0;
	percent = argc == 4 ? atoi(argv[2]) : 0;
	if (number < 1 || number > MAX_VCPUS || percent < 1 || percent > 99 || extints < 1)
		errx(2, "usage: irq_storm VCPUS PERCENT EXTINTS, with at most %d", MAX_VCPUS);
	new_vm(false);
	handle(EXTINT_VECTOR, HANDLER_PLAIN);
	handle(VECTOR, HANDLER_EOI);
	for (i = 0; i < number; i++)
		vcpus[i] = add_vcpu(i);
	connect_irqfds(number, route);
	for (i = 0; i < number; i++) {
		run_to(&vcpus[i], PORT_OPEN);
		run_to(&vcpus[i], PORT_CLOSED);
	}

	mark("begin");
	while (done < extints && storm())
		done++;
	mark("end");
	printf("%d of %d ExtINTs arrived\n", done, extints);
	return done != extints;
}
