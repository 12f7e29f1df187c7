// The ordinary design: a timer that calls what is due, and a webhook handler that records how the calls ended.

import { createHmac, timingSafeEqual } from "node:crypto";

import axios from "axios";
import express from "express";
import pino from "pino";

const BATCH = 50;
const TRIES = 3;
const FIRST_PAUSE_MS = 1_000;
const PROVIDER_TIMEOUT_MS = 10_000;
const SIGNATURE_VALID_SECONDS = 300;

const config = {
  databaseUrl: required("DATABASE_URL"),
  providerUrl: required("VOICE_PROVIDER_API_URL"),
  providerKey: required("VOICE_PROVIDER_API_KEY"),
  secret: Buffer.from(required("WEBHOOK_SECRET").replace(/^whsec_/, ""), "base64"),
  port: Number(process.env.WEBHOOK_PORT ?? 4000),
  pollMs: Number(process.env.WORKER_POLL_INTERVAL_SECONDS ?? 60) * 1_000,
};

const log = pino();
// "prisma" or "pg"
const { connect } = await import(`./database-${process.env.DATABASE_LIBRARY ?? "prisma"}.js`);
const database = connect(config.databaseUrl, (error) => {
  log.error({ error: error.message }, "idle connection to the database failed");
});

// ---- calling what is due

const provider = axios.create({
  baseURL: config.providerUrl,
  timeout: PROVIDER_TIMEOUT_MS,
  headers: { Authorization: `Bearer ${config.providerKey}` },
});

async function placeCall(reminder) {
  const request = {
    phone_number: reminder.phoneNumber,
    message: reminder.message,
    metadata: { reminder_id: reminder.id },
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await provider.post("/calls", request)).data;
    } catch (error) {
      if (attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** (attempt - 1)));
    }
  }
}

async function callDue() {
  const reminders = await database.dueReminders(BATCH);
  if (reminders.length > 0) log.info({ count: reminders.length }, "found due reminders");
  for (const reminder of reminders) {
    try {
      const call = await placeCall(reminder);
      await database.addLog(reminder.id, call.call_id, call.status);
      await database.setStatus(reminder.id, "processing");
      log.info({ reminder_id: reminder.id, call_id: call.call_id }, "call triggered");
    } catch (error) {
      log.error({ reminder_id: reminder.id, error: error.message }, "call failed");
      await database.setStatus(reminder.id, "failed");
    }
  }
}

let isCalling = false;

async function poll() {
  if (isCalling) return; // the last round is not over
  isCalling = true;
  try {
    await callDue();
  } catch (error) {
    log.error({ error: error.message }, "poll failed");
  } finally {
    isCalling = false;
  }
}

// ---- webhooks

const app = express();
app.disable("x-powered-by");
app.disable("etag");

app.get("/health", (_request, response) => response.json({ status: "ok" }));

app.post("/webhooks/call-status", express.raw({ type: "application/json" }), async (request, response) => {
  if (!isSigned(request)) return response.status(401).json({ error: "Invalid signature" });
  const report = parsed(request.body);
  const reminderId = report?.metadata?.reminder_id;
  if (!report?.call_id || !report.status || !reminderId) {
    return response.status(400).json({ error: "Invalid payload" });
  }
  if (await database.finishedLog(report.call_id)) {
    log.info({ reminder_id: reminderId, call_id: report.call_id }, "webhook already processed");
    return response.json({ success: true });
  }
  await database.setStatus(reminderId, report.status === "completed" ? "called" : "failed");
  await database.finishLog(report.call_id, report.status, report.transcript ?? null);
  log.info({ reminder_id: reminderId, call_id: report.call_id, status: report.status }, "webhook processed");
  return response.json({ success: true });
});

app.use((error, _request, response, _next) => {
  log.error({ error: error.message }, "webhook failed");
  response.status(500).json({ error: "Internal server error" });
});

// Standard Webhooks, version 1: HMAC-SHA256 of id, timestamp and body, in base64.
function isSigned(request) {
  const id = request.get("webhook-id");
  const timestamp = request.get("webhook-timestamp");
  const signatures = request.get("webhook-signature");
  if (!id || !timestamp || !signatures || !Buffer.isBuffer(request.body)) return false;
  const age = Math.abs(Date.now() / 1_000 - Number(timestamp));
  if (!(age <= SIGNATURE_VALID_SECONDS)) return false;
  const expected = createHmac("sha256", config.secret).update(`${id}.${timestamp}.`).update(request.body).digest();
  return signatures.split(" ").some((item) => {
    const [version, signature = ""] = item.split(",");
    const given = Buffer.from(signature, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

// ---- start and stop

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const server = app.listen(config.port, "127.0.0.1", (error) => {
  if (error) throw error;
  log.info({ port: config.port }, "listening");
});
const timer = setInterval(poll, config.pollMs);
poll();

process.once("SIGTERM", () => {
  clearInterval(timer);
  server.close(() => database.close());
  server.closeIdleConnections();
});
