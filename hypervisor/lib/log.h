/* SPDX-License-Identifier: MIT */
/* Lines on the control channel (COM2, or COM1 where there is no COM2). */
#ifndef HYPERVISOR_LIB_LOG_H
#define HYPERVISOR_LIB_LOG_H

/* The longest line; what is beyond it is cut and the line ends in "...". */
#define LOG_LINE_MAX 512

/*
 * Print one line, "posthorn: " in front.  The format carries no newline.  Any thread or handler;
 * lines of several pCPUs never mix.  Waits for the UART, so keep it off hot paths.
 */
void log_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same without the prefix: the machine-readable lines ("@vm ..."). */
void control_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
