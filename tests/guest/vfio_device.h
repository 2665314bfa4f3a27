/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vfio_device(path, address, &container): a device that VFIO has, in a container
 * of its own.  path: of its group, as /dev/vfio/7; address: as 0000:00:04.0.
 */
#ifndef VFIO_DEVICE_H
#define VFIO_DEVICE_H

#include <fcntl.h>
#include <linux/vfio.h>

#include "xioctl.h"

static inline int vfio_device(const char *path, const char *address, int *container)
{
	int group = open(path, O_RDWR);

	*container = open("/dev/vfio/vfio", O_RDWR);
	if (*container < 0 || group < 0)
		err(1, "/dev/vfio/vfio or %s", path);
	xioctl(group, VFIO_GROUP_SET_CONTAINER, container);
	xioctl(*container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	return xioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
}

#endif
