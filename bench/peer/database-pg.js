// Does the same as database-prisma.js with prepared statements, without that layer.

import pg from "pg";

// A statement with a name is prepared once for each connection. Each is a separate transaction.
const statements = {
  dueReminders: `SELECT id, phone_number AS "phoneNumber", message FROM reminders
                  WHERE status = 'scheduled' AND scheduled_at <= now() ORDER BY scheduled_at LIMIT $1`,
  addLog: "INSERT INTO call_logs (reminder_id, external_call_id, status) VALUES ($1, $2, $3)",
  setStatus: "UPDATE reminders SET status = $2, updated_at = now() WHERE id = $1",
  finishedLog: `SELECT id FROM call_logs
                 WHERE external_call_id = $1 AND status IN ('completed', 'failed', 'busy', 'no-answer', 'canceled')
                 LIMIT 1`,
  finishLog: `UPDATE call_logs SET status = $2, transcript = $3, received_at = now()
               WHERE external_call_id = $1`,
};

export function connect(connectionString, onIdleError) {
  const pool = new pg.Pool({ connectionString });
  pool.on("error", onIdleError);
  const query = async (name, ...values) => (await pool.query({ name, text: statements[name], values })).rows;
  return {
    dueReminders: (limit) => query("dueReminders", limit),
    addLog: (reminderId, externalCallId, status) => query("addLog", reminderId, externalCallId, status),
    setStatus: (id, status) => query("setStatus", id, status),
    finishedLog: async (externalCallId) => (await query("finishedLog", externalCallId))[0],
    finishLog: (externalCallId, status, transcript) => query("finishLog", externalCallId, status, transcript),
    close: () => pool.end(),
  };
}
