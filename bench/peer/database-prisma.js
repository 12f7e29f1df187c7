// The worker's database through Prisma, as most such workers have it.

import { PrismaPg } from "@prisma/adapter-pg";

import { PrismaClient } from "./generated/client.js";

const FINISHED = ["completed", "failed", "busy", "no-answer", "canceled"];

export function connect(connectionString, onIdleError) {
  // The adapter sends times in UTC without an offset; a server in another time zone would misread them.
  const pool = { connectionString, options: "-c timezone=UTC" };
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { onPoolError: onIdleError }) });
  return {
    dueReminders: (limit) =>
      prisma.reminder.findMany({
        where: { status: "scheduled", scheduledAt: { lte: new Date() } },
        orderBy: { scheduledAt: "asc" },
        take: limit,
      }),
    addLog: (reminderId, externalCallId, status) =>
      prisma.callLog.create({ data: { reminderId, externalCallId, status } }),
    setStatus: (id, status) => prisma.reminder.update({ where: { id }, data: { status } }),
    finishedLog: (externalCallId) =>
      prisma.callLog.findFirst({ where: { externalCallId, status: { in: FINISHED } } }),
    finishLog: (externalCallId, status, transcript) =>
      prisma.callLog.updateMany({
        where: { externalCallId },
        data: { status, transcript, receivedAt: new Date() },
      }),
    close: () => prisma.$disconnect(),
  };
}
