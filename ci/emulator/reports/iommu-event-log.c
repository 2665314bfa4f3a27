// SPDX-License-Identifier: GPL-2.0-or-later
/* An illegal command leaves an event in the event log */
#include "iommu.h"

void suite_setup(void)
{
	iommu_setup();
}

TEST(illegal_command_is_logged)
{
	control(0, CTRL_EVENT_LOG_EN);
	CHECK("EventLogRun", !!(status() & STATUS_EVENT_RUN), 1);
	CHECK("EventOverflow", !!(status() & STATUS_EVENT_OVERFLOW), 0);
	command(CMD_ILLEGAL, 0, 0);
	CHECK("event code in the log", events[0] >> 60, 5);
}
