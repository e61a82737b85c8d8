/* SPDX-License-Identifier: MIT */
/*
 * First process of the machine that tools/on-kvm.sh boots: loads KVM, runs the program named by
 * the kernel's command line behind "--", hands /out to the debug console and the program's status
 * to the debug-exit port.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEBUG_CONSOLE_PORT 0xe9
#define DEBUG_EXIT_PORT    0xf4
#define NO_PROGRAM         126

static void load_module(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
		perror(path);
}

static int run(char **argv)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(NO_PROGRAM);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : NO_PROGRAM;
}

static void hand_out(const char *path)
{
	static char buffer[65536];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	while (file >= 0 && (size = read(file, buffer, sizeof(buffer))) > 0)
		outsb(DEBUG_CONSOLE_PORT, buffer, (unsigned long)size);
}

int main(int argc, char **argv)
{
	int status = NO_PROGRAM;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_module("/irqbypass.ko");
	load_module("/kvm.ko");
	load_module("/kvm-amd.ko");
	if (argc > 1)
		status = run(argv + 1);
	iopl(3);
	hand_out("/out");
	outb((unsigned char)status, DEBUG_EXIT_PORT);
	return status;
}
